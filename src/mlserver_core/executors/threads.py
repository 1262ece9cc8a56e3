"""The default executor: ``async def`` on the event loop, plain ``def`` in threads."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import attrs

from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import ModelSource
from mlserver_core.types.context import RequestContext, request_context

#: How the threads of models are called; the model's name follows.
THREAD_PREFIX = "mlserver-model-"


@attrs.define
class ThreadsExecutor(InlineExecutor):
    """Keeps plain functions off the event loop.

    A model has ``predict_threads`` threads, one by default, so that a runtime which was never
    written for threads is called by one at a time. What waits is queued in order.
    """

    _pool: ThreadPoolExecutor | None = attrs.field(default=None, init=False)
    _calls: dict[Future[Any], RequestContext | None] = attrs.field(factory=dict, init=False)

    async def load(self, source: ModelSource) -> Any:
        """Makes the model, whose imports may take long, in its thread and runs its ``load``."""
        self._model = await self._run(source.make)
        return await self._run(self._model.load)

    async def idle(self) -> None:
        """Waits for the threads that work for callers who have left."""
        while calls := list(self._calls):
            await _ended(calls)

    async def idle_for(self, request: RequestContext) -> None:
        """Waits for the threads that work for one request, whose caller has left."""
        while calls := [call for call, caller in list(self._calls.items()) if caller is request]:
            await _ended(calls)

    async def unload(self) -> None:
        """Runs the model's ``unload``, in a thread of its own: a call may never end."""
        busy, self._pool = self._pool, None
        try:
            await InlineExecutor.unload(self)
        finally:
            _end(busy)

    async def close(self) -> None:
        """Ends the threads; a call that never ends is left."""
        _end(self._pool)

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self.settings.predict_threads, THREAD_PREFIX + self.settings.name
            )
        context = contextvars.copy_context()  # the model's module space among others
        call = self._pool.submit(context.run, _guarded, function, *arguments)
        self._calls[call] = request_context()
        call.add_done_callback(self._forget)
        result = await asyncio.wrap_future(call)
        return await result if inspect.isawaitable(result) else result

    def _forget(self, call: Future[Any]) -> None:
        del self._calls[call]


async def _ended(calls: Iterable[Future[Any]]) -> None:
    """Returns when calls have ended; what they raise is for those who wait for their results."""
    done, _ = await asyncio.wait([asyncio.wrap_future(call) for call in calls])
    for call in done:
        call.cancelled() or call.exception()


def _end(pool: ThreadPoolExecutor | None) -> None:
    if pool is not None:
        pool.shutdown(wait=False, cancel_futures=True)


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    """Turns a StopIteration, which a future cannot hold and would hang on, into an error."""
    try:
        return function(*arguments)
    except StopIteration as error:
        raise RuntimeError("StopIteration was raised outside a generator") from error
