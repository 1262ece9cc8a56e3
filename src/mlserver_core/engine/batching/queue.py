"""Those who wait: a request with its caller's future, and the groups of them that agree."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from mlserver_core.engine.batching.parts import Part
from mlserver_core.errors import DeadlineExceeded
from mlserver_core.types import InferenceResponse
from mlserver_core.types.context import RequestContext


@attrs.define(eq=False, kw_only=True)
class Member:
    """A request, and the caller who waits for its answer.

    Attributes:
        part: the request.
        context: where it comes from.
        answer: for the caller; None as its result says that it is the caller's turn to ask, alone.
        group: those it waits with; None when it waits no more.
        batch: those it is being asked with; None when it is not, or alone.
        timer: goes off when it is too late to ask.
    """

    part: Part
    context: RequestContext
    answer: asyncio.Future[InferenceResponse | None]
    group: Group | None = None
    batch: Batch | None = None
    timer: asyncio.TimerHandle | None = None

    def limit(self) -> float | None:
        """When it is too late to ask, in the seconds of the context; None for never."""
        deadline, start_by = self.context.deadline, self.context.start_by
        if deadline is None or start_by is None:
            return start_by if deadline is None else deadline
        return min(deadline, start_by)

    def refuse(self) -> None:
        """Tells the caller that it is too late."""
        deadline, start_by = self.context.deadline, self.context.start_by
        if deadline is None or (start_by is not None and start_by < deadline):
            text = "the request waited more than queue_timeout for the model"
        else:
            text = "the deadline of the request was over before the model could begin"
        if not self.answer.done():
            self.answer.set_exception(DeadlineExceeded(text))


@attrs.define(eq=False)
class Group:
    """Requests of one key that wait.

    Attributes:
        key: which key.
        members: in the order they came.
        rows: how many they have.
        timer: goes off when the first has waited long enough.
    """

    key: object
    members: list[Member] = attrs.field(factory=list)
    rows: int = 0
    timer: asyncio.TimerHandle | None = None

    def add(self, member: Member) -> None:
        """Takes one more."""
        self.members.append(member)
        self.rows += member.part.rows
        member.group = self

    def remove(self, member: Member) -> None:
        """Lets one go."""
        self.members.remove(member)
        self.rows -= member.part.rows
        _release(member)

    def close(self) -> None:
        """They wait no more; ``members`` keeps them."""
        if self.timer is not None:
            self.timer.cancel()
        for member in self.members:
            _release(member)


@attrs.define(eq=False)
class Batch:
    """Requests that are being asked together.

    Attributes:
        members: in the order of their rows.
        task: asks the model.
    """

    members: Sequence[Member]
    task: asyncio.Task[None]

    def is_abandoned(self) -> bool:
        """Does nobody wait for it any more?"""
        return all(member.answer.done() for member in self.members)


def _release(member: Member) -> None:
    member.group = None
    if member.timer is not None:
        member.timer.cancel()
