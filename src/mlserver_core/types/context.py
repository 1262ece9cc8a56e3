"""What travels beside a request and is no part of it."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Mapping

import attrs


@attrs.define(kw_only=True, eq=False)
class RequestContext:
    """Where a request came from, and whether anybody still waits for its answer.

    Attributes:
        transport: the name of the transport that received it.
        headers: HTTP headers or gRPC metadata, names in lower case.
        deadline: when the answer is of no more use, in seconds of ``time.monotonic()``; None
            when the caller set no limit.
        request_id: the id of the request, once it is known; of a stream, that of its first.
        cancelled: the caller has gone away or its deadline is over. A plain ``def predict``
            cannot be interrupted, so a long one may look here.
    """

    transport: str = "engine"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    deadline: float | None = None
    request_id: str | None = None
    cancelled: bool = False

    def remaining(self) -> float | None:
        """Seconds until the deadline, never below 0; None when there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


#: The request that the current task or thread works for; the engine sets it.
current_request: contextvars.ContextVar[RequestContext | None] = contextvars.ContextVar(
    "mlserver_request", default=None
)


def request_context() -> RequestContext | None:
    """The context of the request that a model's code is called for; None outside of one.

    It works in ``predict``, ``predict_stream`` and custom handlers, in plain functions too, but
    not in threads that the model started itself.
    """
    return current_request.get()
