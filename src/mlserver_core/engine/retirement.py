"""Models that serve no more but still have requests to finish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from mlserver_core.engine.lifecycle import LiveModel, discard


@attrs.define(eq=False)
class Retirement:
    """Waits until models are idle, and unloads them.

    Attributes:
        on_unloaded: is told of each model that is unloaded.
    """

    on_unloaded: Callable[[LiveModel], None]
    _tasks: dict[LiveModel, asyncio.Task[None]] = attrs.field(factory=dict, init=False)

    def add(self, live: LiveModel) -> asyncio.Task[None]:
        """Takes a model that gets no more requests; the task ends when it is unloaded."""
        live.close_middlewares()
        self._tasks[live] = asyncio.ensure_future(self._retire(live))
        return self._tasks[live]

    def tasks(self, name: str, version: str | None) -> list[asyncio.Task[None]]:
        """What is left to do for a version of a model; empty when it is unloaded."""
        return [
            task
            for live, task in self._tasks.items()
            if (live.settings.name, live.settings.version) == (name, version)
        ]

    async def end(self, seconds: float | None) -> list[LiveModel]:
        """Gives every model ``seconds`` at most; returns those that are still at work."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)
        for task in self._tasks.values():
            task.cancel()
        return list(self._tasks)

    async def _retire(self, live: LiveModel) -> None:
        await live.serving.in_flight.drained()
        await live.serving.describing.drained()
        await live.idle()  # a thread may still work for a caller who has left
        await discard(live)
        del self._tasks[live]
        self.on_unloaded(live)
