"""Work that ends with its owner, be its caller there or not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import attrs

from mlserver_core.errors import Unavailable

T = TypeVar("T")


@attrs.define(eq=False)
class Tasks:
    """The tasks of one owner, who ends them.

    Attributes:
        stopping: takes no more.
    """

    stopping: bool = attrs.field(default=False, init=False)
    _tasks: set[asyncio.Task[Any]] = attrs.field(factory=set, init=False)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begins a piece of work; raises Unavailable when no more is taken."""
        if self.stopping:
            work.close()
            raise Unavailable("the server is stopping")
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Does a piece of work and returns what it returns. It goes on if this is cancelled.

        Raises:
            Unavailable: no more is taken, or ``stop`` came first. Whatever the work raises
                comes through.
        """
        task = self.start(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Unavailable("the server is stopping") from None
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def attend(self, work: Coroutine[Any, Any, T]) -> T:
        """Does a piece of work and returns what it returns. It is given up if this is cancelled.

        Raises:
            Unavailable: no more is taken, or ``stop`` came first. Whatever the work raises
                comes through.
        """
        try:
            return await self.start(work)
        except asyncio.CancelledError:
            if self.stopping:
                raise Unavailable("the server is stopping") from None
            raise

    async def stop(self, seconds: float | None = None) -> None:
        """Takes no more work, and gives up what is under way.

        Args:
            seconds: how long that may take; None waits for ever.
        """
        self.stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
