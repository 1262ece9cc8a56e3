"""The calls that a model is working on, so that none is cut off when the server stops."""

from __future__ import annotations

import asyncio
from typing import cast

import attrs
from aiohttp import web

from mlserver_core.errors import Unavailable


@attrs.define(eq=False)
class OpenCalls:
    """What is done inside ``with`` is given up when the server cannot wait any longer.

    Attributes:
        ending: the server stops, and so do they.
    """

    ending: bool = attrs.field(default=False, init=False)
    _tasks: set[asyncio.Task[object]] = attrs.field(factory=set, init=False)
    #: Of the server; to ask for the one that runs is a system call.
    _loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False)

    def __enter__(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._tasks.add(self._current_task())

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Raises Unavailable in place of the cancellation, for the client."""
        task = self._current_task()
        self._tasks.discard(task)
        if self.ending and isinstance(error, asyncio.CancelledError):
            getattr(task, "uncancel", int)()  # Python 3.10 does not count
            raise Unavailable("the server is stopping") from None

    def end(self) -> None:
        """Ends them, each with an error for its client."""
        self.ending = True
        for task in self._tasks:
            task.cancel()

    def _current_task(self) -> asyncio.Task[object]:
        return cast("asyncio.Task[object]", asyncio.current_task(self._loop))


OPEN_CALLS = web.AppKey("open_calls", OpenCalls)
