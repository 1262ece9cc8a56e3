"""The context of requests that are asked together."""

from __future__ import annotations

from collections.abc import Sequence

from mlserver_core.engine.batching.queue import Member
from mlserver_core.types.context import BatchedRequest, RequestContext
from mlserver_core.types.request_ids import make_request_id


def merge_contexts(members: Sequence[Member]) -> RequestContext:
    """What requests that are asked together have as theirs; of no one's headers."""
    batch, row = [], 0
    for member in members:
        request, context, rows = member.part.request, member.context, member.part.rows
        batch.append(
            BatchedRequest(id=request.id or "", headers=context.headers, rows=(row, row + rows))
        )
        row += rows
    return RequestContext(
        transport=members[0].context.transport,
        deadline=_latest([member.context.deadline for member in members]),
        start_by=_latest([member.context.start_by for member in members]),
        request_id=make_request_id(),
        batch=tuple(batch),
    )


def _latest(times: Sequence[float | None]) -> float | None:
    known = [time for time in times if time is not None]
    return max(known) if len(known) == len(times) else None
