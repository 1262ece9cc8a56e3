"""The default executor: ``async def`` on the event loop, plain ``def`` in threads."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

import attrs

from mlserver_core.errors import DeadlineExceeded
from mlserver_core.executors.calls import Call
from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import ModelSource
from mlserver_core.executors.thread_queue import ThreadQueue
from mlserver_core.types.context import RequestContext

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
    _calls: set[Call] = attrs.field(factory=set, init=False)
    #: Of the model's methods; to look takes longer than a small model does.
    _async: dict[Any, bool] = attrs.field(factory=dict, init=False)

    async def load(self, source: ModelSource) -> Any:
        """Makes the model, whose imports may take long, in its thread and runs its ``load``."""
        self._model = await self._run(source.make)
        return await self._run(self._model.load)

    async def idle(self) -> None:
        """Waits for the threads that work for callers who have left."""
        while self._calls:
            await asyncio.wait([call.end() for call in self._calls])

    async def idle_for(self, request: RequestContext) -> None:
        """Waits for the threads that work for one request, whose caller has left."""
        while calls := [call for call in self._calls if call.request is request]:
            await asyncio.wait([call.end() for call in calls])

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

    async def predict(self, request: Any) -> Any:
        """Runs the model's ``predict``; a plain one in a thread."""
        predict = self._loaded().predict
        if self._is_async(predict):
            return await predict(request)
        return await self._run(predict, request)

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._is_async(function):
            return await function(*arguments)
        result = await self._result_of(self._start(function, *arguments))
        return await result if inspect.isawaitable(result) else result

    def _is_async(self, function: Callable[..., Any]) -> bool:
        method = getattr(function, "__func__", None)
        if method is None:
            return inspect.iscoroutinefunction(function)
        known = self._async.get(method)
        if known is None:
            known = self._async[method] = inspect.iscoroutinefunction(method)
        return known

    def _start(self, function: Callable[..., Any], *arguments: Any) -> Call:
        if self._queue is None:
            threads, name = self.settings.predict_threads, THREAD_PREFIX + self.settings.name
            self._queue = ThreadQueue(threads, name, self._calls)
        return self._queue.submit(function, *arguments)

    async def _result_of(self, call: Call) -> Any:
        """What a call returns; raises DeadlineExceeded if it has not begun in time."""
        request, timer = call.request, None
        if request is not None and request.start_by is not None:
            left = request.start_by - time.monotonic()
            request.start_by = None  # later steps of a stream have waited already
            timer = asyncio.get_running_loop().call_later(max(0.0, left), self._expire, call)
        try:
            return await call.answer
        except asyncio.CancelledError:
            call.withdraw()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            del call  # or else an error holds, by its traceback, what holds it

    def _expire(self, call: Call) -> None:
        call.withdraw(
            DeadlineExceeded(
                f"the request waited more than queue_timeout ({self.settings.queue_timeout} "
                f"seconds) for a thread of model {self.settings.name!r}"
            )
        )
