"""When an answer is of no more use, and what happens to the work on it then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import attrs

from mlserver_core.errors import DeadlineExceeded
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.types.context import RequestContext

T = TypeVar("T")


def take_limits(model: ModelSettings, server: Settings) -> None:
    """Gives a model the server's queue and times where it has none of its own."""
    for name in ("max_queue_size", "request_timeout", "queue_timeout"):
        if getattr(model, name) is None:
            setattr(model, name, getattr(server, name))


@attrs.frozen
class Deadline:
    """When a request has to be answered.

    Attributes:
        at: that moment, in seconds of ``time.monotonic()``.
        text: what the caller is told afterwards.
    """

    at: float
    text: str

    def left(self) -> float:
        """Seconds until then, never below 0."""
        return max(0.0, self.at - time.monotonic())


def begin(context: RequestContext, settings: ModelSettings) -> Deadline | None:
    """Writes into the context of a request that has come just now until when the model has to
    begin with it, and to answer it: what its caller allows, or the model's own limit if that is
    sooner.

    Returns:
        The deadline; None where nobody has set one, and nothing has to be watched.
    """
    limit, wait = settings.request_timeout, settings.queue_timeout
    if wait is not None:
        context.start_by = time.monotonic() + wait
    if limit is not None:
        own = time.monotonic() + limit
        if context.deadline is None or own < context.deadline:
            context.deadline = own
            return Deadline(own, f"there was no answer within request_timeout ({limit} seconds)")
    if context.deadline is None:
        return None
    return Deadline(context.deadline, "the deadline of the call has passed")


@attrs.define(eq=False)
class Deadlines:
    """Ends what is worked on too long.

    The work runs in a task of its own, so that its caller is told on time, whatever the code of
    a model makes of its cancellation. What it does after that is nobody's answer.
    """

    _left: set[asyncio.Task[Any]] = attrs.field(factory=set, init=False)

    async def finish(
        self, work: Coroutine[Any, Any, T], context: RequestContext, deadline: Deadline
    ) -> T:
        """Does a piece of work and returns what it returns; its errors come through.

        Raises:
            DeadlineExceeded: it took too long and is cancelled, or it was too late to begin.
        """
        if deadline.left() == 0:
            work.close()
            raise DeadlineExceeded(deadline.text)
        task = asyncio.ensure_future(work)
        try:
            done: set[asyncio.Task[T]] = set()
            while not done and (left := deadline.left()):  # uvloop's timers may be early
                done, _ = await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError:  # the caller has gone away
            self._leave(task)
            raise
        if done:
            return task.result()
        context.cancelled = True
        self._leave(task)
        await asyncio.wait([task], timeout=0)  # what waits for a thread is out of its queue then
        raise DeadlineExceeded(deadline.text)

    async def steps(
        self, items: AsyncGenerator[T, None], context: RequestContext, deadline: Deadline
    ) -> AsyncGenerator[T, None]:
        """Yields what a generator yields; its errors come through. All of it runs in one task,
        and only as it is asked for.

        Raises:
            DeadlineExceeded: it took too long, with what is done between two items, and is
                closed.
        """
        if deadline.left() == 0:
            await items.aclose()
            raise DeadlineExceeded(deadline.text)
        loop = asyncio.get_running_loop()
        late: asyncio.Future[None] = loop.create_future()
        asked: asyncio.Queue[asyncio.Future[T]] = asyncio.Queue()
        task = asyncio.ensure_future(_hand_out(items, asked))
        timer: asyncio.TimerHandle

        def expire() -> None:
            nonlocal timer
            if left := deadline.left():  # uvloop's timers may be early
                timer = loop.call_later(left, expire)
                return
            context.cancelled = True
            late.set_result(None)
            task.cancel()

        timer = loop.call_later(deadline.left(), expire)
        try:
            while True:
                step: asyncio.Future[T] = loop.create_future()
                asked.put_nowait(step)
                waited: tuple[asyncio.Future[Any], ...] = (step, task, late)
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if late.done():
                    raise DeadlineExceeded(deadline.text)
                if not step.done():  # there are no more
                    task.result()
                    return
                yield step.result()
        finally:
            timer.cancel()
            self._leave(task)

    def _leave(self, task: asyncio.Task[Any]) -> None:
        """Cancels a task that nobody waits for any more; the event loop alone would forget it."""
        self._left.add(task)
        task.add_done_callback(self._end)
        task.cancel()

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # which is in the log already


async def _hand_out(
    items: AsyncGenerator[T, None], asked: asyncio.Queue[asyncio.Future[T]]
) -> None:
    async with aclosing(items):
        step = await asked.get()
        async for item in items:
            step.set_result(item)
            step = await asked.get()
