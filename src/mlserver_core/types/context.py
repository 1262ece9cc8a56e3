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
        rows: how many rows all inputs of the request have; None where they do not agree, and for
            what is no single request.
    """

    transport: str = "engine"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    deadline: float | None = None
    start_by: float | None = None
    request_id: str | None = None
    cancelled: bool = False
    lost_workers: int = 0
    batch: tuple[BatchedRequest, ...] = ()
    rows: int | None = None

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


def batch_requests() -> tuple[BatchedRequest, ...]:
    """The requests that a model's ``predict`` is asked together, in the order of their rows.

    A request that is asked alone is a batch of one, so that an author has one case to write.
    Empty where there are no rows to tell apart: outside of ``predict``, and for a request whose
    inputs do not agree in their first dimension.
    """
    context = current_request.get()
    if context is None:
        return ()
    if context.batch or context.rows is None:
        return context.batch
    alone = BatchedRequest(
        id=context.request_id or "", headers=context.headers, rows=(0, context.rows)
    )
    return (alone,)
