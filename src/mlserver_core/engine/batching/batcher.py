"""Decides which requests a model is asked together, and when."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Sequence

import attrs

from mlserver_core.engine.batching.contexts import merge_contexts
from mlserver_core.engine.batching.failing import copy_error, is_about_content, smaller_batches
from mlserver_core.engine.batching.gathering import Gathering
from mlserver_core.engine.batching.merging import Unsplittable, merge, split
from mlserver_core.engine.batching.parts import Part, count_rows, to_part
from mlserver_core.engine.batching.queue import Batch, Group, Member
from mlserver_core.errors import MLServerError, RuntimeFailed, WorkerLost
from mlserver_core.metrics.custom import ModelMetrics
from mlserver_core.middlewares.interfaces import Infer
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters
from mlserver_core.types.context import RequestContext

logger = logging.getLogger("mlserver")


@attrs.define(eq=False, kw_only=True)
class Batcher:
    """Merges the requests to one model that agree and come while it is busy.

    A request that is asked alone is asked in the task of its caller, as it came. A merged one
    has a task of its own, in a context that is nobody's. Each waits for a future of its own, so
    that nothing that happens to one can touch another.

    Attributes:
        settings: of the model.
        metrics: of the model.
        slots: how many calls the model can work on at once.
        must_be_alone: is a request not to be merged with others?
        clock: gives the seconds in which deadlines are.
        running: calls that are under way.
    """

    settings: ModelSettings
    metrics: ModelMetrics = attrs.field(factory=ModelMetrics)
    slots: int = 1
    must_be_alone: Callable[[InferenceRequest], bool] = lambda _: False
    clock: Callable[[], float] = time.monotonic
    running: int = attrs.field(default=0, init=False)
    _infer: Infer
    _groups: dict[object, Group] = attrs.field(factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set, init=False)
    _has_blocked: bool = attrs.field(default=False, init=False)
    _gathering: Gathering = attrs.field(init=False)
    _told: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._gathering = Gathering(
            size=self.settings.max_batch_size,
            seconds=self.settings.max_batch_time,
            count=lambda: self.waiting,
            on_end=self._fill,
        )

    @property
    def waiting(self) -> int:
        """How many requests wait for others, or for the model."""
        return sum(len(group.members) for group in self._groups.values())

    async def infer(self, request: InferenceRequest, context: RequestContext) -> InferenceResponse:
        """Answers a request, alone or with others.

        Raises:
            MLServerError: as the model's own answer to this request; DeadlineExceeded where it
                has waited too long to be asked.
        """
        alone = self.must_be_alone(request) or await self._may_ask_at_once()
        part = None if alone else to_part(request)
        if part is None or part.rows >= self.settings.max_batch_size:
            self.metrics.observe_batch(waiting=self.waiting + 1, rows=count_rows(request))
            self.running += 1
            return await self._ask_alone(request, context)
        member = self._enqueue(part, context)
        try:
            answer = await member.answer
        except asyncio.CancelledError:
            await self._leave(member)
            raise
        return await self._ask_alone(request, context) if answer is None else answer

    async def _may_ask_at_once(self) -> bool:
        if not self._has_free_slot():
            return False
        if not self._has_blocked:
            return True
        if self._gathering.wants_more(0):
            return False
        # What came while the event loop stood comes in one turn of it, behind this one. It is
        # asked together with it, and not one after the other.
        self.running += 1
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._release()
            raise
        self.running -= 1
        return not self._groups

    async def _ask(
        self, request: InferenceRequest, context: RequestContext, callers: int = 1
    ) -> InferenceResponse:
        """Asks the model, and notes whether the event loop stood still meanwhile."""
        turns: list[bool] = []
        asyncio.get_running_loop().call_soon(turns.append, True)
        begun = self.clock()
        try:
            return await self._infer(request, context)
        finally:
            self._has_blocked = not turns
            if self._has_blocked and self.settings.batch_when_idle:
                self._gathering.begin(callers + self.waiting, self.clock() - begun)

    async def _ask_alone(
        self, request: InferenceRequest, context: RequestContext
    ) -> InferenceResponse:
        """Asks the model in the caller's task, which has a slot already."""
        try:
            return await self._ask(request, context)
        finally:
            self._release()

    def _enqueue(self, part: Part, context: RequestContext) -> Member:
        group = self._groups.get(part.key)
        if group is not None and group.rows + part.rows > self.settings.max_batch_size:
            self._dispatch_group(group)
            group = None
        loop = asyncio.get_running_loop()
        if group is None:
            group = self._groups[part.key] = Group(part.key)
            seconds = self.settings.max_batch_time
            group.timer = loop.call_later(seconds, self._dispatch_in_time, group)
        member = Member(part=part, context=context, answer=loop.create_future())
        group.add(member)
        if (limit := member.limit()) is not None:
            seconds = max(0.0, limit - self.clock())
            member.timer = loop.call_later(seconds, self._expire, member)
        if group.rows == self.settings.max_batch_size:
            self._dispatch_group(group)
        self._fill()
        return member

    def _dispatch_in_time(self, group: Group) -> None:
        if not self._gathering.lasts:  # or else its end is near, and sees to it
            self._dispatch_group(group)

    def _dispatch_group(self, group: Group) -> None:
        self._remove(group)
        self._dispatch(group.members)

    def _dispatch(self, members: Sequence[Member]) -> None:
        """Lets those be asked that still want it: together, or one in its caller's task."""
        now = self.clock()
        for member in members:
            limit = member.limit()
            if limit is not None and limit <= now:
                member.refuse()
        members = [member for member in members if not member.answer.done()]
        if not members:
            return
        rows = sum(member.part.rows for member in members)
        self.metrics.observe_batch(waiting=self.waiting + len(members), rows=rows)
        self.running += 1
        if len(members) == 1:
            members[0].batch = None
            members[0].answer.set_result(None)
            return
        work = self._ask_together(members)
        # The context of nobody's task: what belongs to one caller is not for the others.
        task = contextvars.Context().run(asyncio.get_running_loop().create_task, work)
        batch = Batch(members, task)
        for member in members:
            member.batch = batch
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def _ask_together(self, members: Sequence[Member]) -> None:
        parts = [member.part for member in members]
        context = merge_contexts(members)
        try:
            request = merge(parts, context.request_id)
            request.parameters = request.parameters or Parameters()
            request.parameters.headers = {}
            response = await self._ask(request, context, len(members))
            answers = split(response, parts)
        except Unsplittable as error:
            self._tell_unsplittable(error)
            failure = RuntimeFailed(f"the model's answer cannot be split: {error}")
            self._fail(members, failure, [[member] for member in members])
        except MLServerError as error:
            smaller = smaller_batches(members, error) if is_about_content(error) else []
            self._fail(members, error, smaller)
        except asyncio.CancelledError:  # nobody is left; or, on Python 3.10, the runtime did it
            text = "CancelledError: the runtime cancelled its own work"
            self._fail(members, RuntimeFailed(text), [])
            raise
        except Exception as error:  # noqa: BLE001  # a bug of ours, which all of them have to learn of
            self._fail(members, error, [])
        else:
            for member, answer in zip(members, answers, strict=True):
                if not member.answer.done():
                    member.answer.set_result(answer)

    def _fail(
        self, members: Sequence[Member], error: Exception, smaller: Sequence[Sequence[Member]]
    ) -> None:
        """Asks anew in smaller batches, or else gives everybody the error."""
        if self.settings.idempotent and smaller:
            for each in members:
                each.context.start_by = None  # the model has begun to work on it
                each.context.lost_workers += isinstance(error, WorkerLost)
            for batch in smaller:
                self._dispatch(batch)
            return
        for member in members:
            if not member.answer.done():
                member.answer.set_exception(copy_error(error))

    def _tell_unsplittable(self, error: Unsplittable) -> None:
        if not self._told:
            logger.error(
                "The answers of model %r to batches cannot be split: %s. Its predict() must answer "
                "a row for each row it is asked; until then max_batch_size costs time",
                self.settings.name,
                error,
            )
        self._told = True

    async def _leave(self, member: Member) -> None:
        """A caller has left: its place in the queue, its turn, or its batch if it was the last."""
        answer = member.answer
        if not answer.cancelled():
            if answer.exception() is None and answer.result() is None:
                self._release()
        elif member.group is not None:
            self._withdraw(member)
        elif member.batch is not None and member.batch.is_abandoned():
            member.batch.task.cancel()
            await asyncio.wait({member.batch.task})  # the model's code may still run meanwhile

    def _expire(self, member: Member) -> None:
        self._withdraw(member)
        member.refuse()

    def _withdraw(self, member: Member) -> None:
        group = member.group
        if group is not None:
            group.remove(member)
            if not group.members:
                self._remove(group)

    def _remove(self, group: Group) -> None:
        group.close()
        del self._groups[group.key]

    def _has_free_slot(self) -> bool:
        return self.settings.batch_when_idle and self.running < self.slots

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._release()

    def _release(self) -> None:
        self.running -= 1
        self._fill()

    def _fill(self) -> None:
        while self._groups and self._has_free_slot():
            group = next(iter(self._groups.values()))
            if self._gathering.wants_more(len(group.members)):
                return
            self._dispatch_group(group)
