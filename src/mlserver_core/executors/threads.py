"""The default executor: ``async def`` on the event loop, plain ``def`` in threads."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs

from mlserver_core.executors.inline import InlineExecutor

#: How the threads of models are called; the model's name follows.
THREAD_PREFIX = "mlserver-model-"


@attrs.define
class ThreadsExecutor(InlineExecutor):
    """Keeps plain functions off the event loop.

    A model has ``predict_threads`` threads, one by default, so that a runtime which was never
    written for threads is called by one at a time. What waits is queued in order.
    """

    _pool: ThreadPoolExecutor | None = attrs.field(default=None, init=False)

    async def unload(self) -> None:
        """Runs the model's ``unload`` and ends the threads; a call that never ends is left."""
        try:
            await InlineExecutor.unload(self)
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self.settings.predict_threads, THREAD_PREFIX + self.settings.name
            )
        context = contextvars.copy_context()  # the model's module space among others
        result = await asyncio.get_running_loop().run_in_executor(
            self._pool, context.run, _guarded, function, *arguments
        )
        return await result if inspect.isawaitable(result) else result


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    """Turns a StopIteration, which a future cannot hold and would hang on, into an error."""
    try:
        return function(*arguments)
    except StopIteration as error:
        raise RuntimeError("StopIteration was raised outside a generator") from error
