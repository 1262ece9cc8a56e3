"""What travels beside a request and is no part of it."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class BatchedRequest:
    """One of the requests that a model is asked together.

    Attributes:
        id: its id.
        headers: HTTP headers or gRPC metadata, names in lower case.
        rows: where its rows are in every input of the batch: from, and up to but not including.
    """

    id: str
    headers: Mapping[str, str]
    rows: tuple[int, int]


@attrs.define(kw_only=True, eq=False)
class RequestContext:
    """Where a request came from, and whether anybody still waits for its answer.

    Attributes:
        transport: the name of the transport that received it.
        headers: HTTP headers or gRPC metadata, names in lower case.
        deadline: when the answer is of no more use, in seconds of ``time.monotonic()``; None
            when the caller set no limit.
        start_by: when the model must have begun to work on it, in the same seconds; None when it
            may wait for ever.
        request_id: the id of the request, once it is known; of a stream, that of its first.
        cancelled: the caller has gone away or its deadline is over. A plain ``def predict``
            cannot be interrupted, so a long one may look here.
        lost_workers: how many processes have ended while they worked on it.
        batch: the requests that are asked together here; empty for one that is asked alone.
    """

    transport: str = "engine"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    deadline: float | None = None
    start_by: float | None = None
    request_id: str | None = None
    cancelled: bool = False
    lost_workers: int = 0
    batch: tuple[BatchedRequest, ...] = ()

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
