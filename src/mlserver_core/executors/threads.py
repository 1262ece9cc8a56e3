"""The default executor: ``async def`` on the event loop, plain ``def`` in threads."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import attrs

from mlserver_core.errors import DeadlineExceeded
from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import ModelSource
from mlserver_core.executors.thread_queue import ThreadQueue
from mlserver_core.types.context import RequestContext, current_request

#: How the threads of models are called; the model's name follows.
THREAD_PREFIX = "mlserver-model-"


@attrs.define
class ThreadsExecutor(InlineExecutor):
    """Keeps plain functions off the event loop.

    A model has ``predict_threads`` threads, one by default, so that a runtime which was never
    written for threads is called by one at a time. What waits is queued in order, and leaves the
    queue when its caller leaves or the request's ``start_by`` has passed.
    """

    _queue: ThreadQueue | None = attrs.field(default=None, init=False)
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
        busy, self._queue = self._queue, None
        try:
            await InlineExecutor.unload(self)
        finally:
            if busy is not None:
                busy.end()

    async def close(self) -> None:
        """Ends the threads; a call that never ends is left."""
        if self._queue is not None:
            self._queue.end()

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        result = await self._result_of(self._start(function, *arguments))
        return await result if inspect.isawaitable(result) else result

    def _start(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if self._queue is None:
            self._queue = ThreadQueue(
                self.settings.predict_threads, THREAD_PREFIX + self.settings.name
            )
        context = contextvars.copy_context()  # the model's module space among others
        call = self._queue.submit(context.run, _guarded, function, *arguments)
        self._calls[call] = current_request.get()
        call.add_done_callback(self._forget)
        return call

    def _forget(self, call: Future[Any]) -> None:
        del self._calls[call]

    async def _result_of(self, call: Future[Any]) -> Any:
        """What a call returns; raises DeadlineExceeded if it has not begun in time."""
        request = current_request.get()
        if request is None or request.start_by is None:
            return await asyncio.wrap_future(call)
        left = request.start_by - time.monotonic()
        request.start_by = None  # later steps of a stream have waited already
        given_up: list[bool] = []
        loop = asyncio.get_running_loop()
        timer = loop.call_later(max(0.0, left), lambda: given_up.append(call.cancel()))
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            if not any(given_up):
                raise
            raise DeadlineExceeded(
                f"the request waited more than queue_timeout ({self.settings.queue_timeout} "
                f"seconds) for a thread of model {self.settings.name!r}"
            ) from None
        finally:
            timer.cancel()


async def _ended(calls: Iterable[Future[Any]]) -> None:
    """Returns when calls have ended; what they raise is for those who wait for their results."""
    done, _ = await asyncio.wait([asyncio.wrap_future(call) for call in calls])
    for call in done:
        call.cancelled() or call.exception()


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    """Turns a StopIteration, which a future cannot hold and would hang on, into an error."""
    try:
        return function(*arguments)
    except StopIteration as error:
        raise RuntimeError("StopIteration was raised outside a generator") from error
