"""The executor that runs a model's code on the event loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import aclosing
from typing import Any

import attrs

from mlserver_core.executors.calls import Call
from mlserver_core.executors.interfaces import ModelSource, RunnableModel
from mlserver_core.settings import ModelSettings

_END = object()


@attrs.define
class InlineExecutor:
    """Runs everything on the event loop, a plain ``def predict`` included.

    For models whose plain ``predict`` takes microseconds: a slow one holds up every other
    request.
    """

    settings: ModelSettings
    _model: RunnableModel | None = attrs.field(default=None, init=False)

    async def load(self, source: ModelSource) -> Any:
        """Makes the model and runs its ``load``."""
        self._model = source.make()
        return await self._run(self._model.load)

    async def predict(self, request: Any) -> Any:
        """Runs the model's ``predict``."""
        return await self._run(self._loaded().predict, request)

    async def predict_stream(self, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Runs the model's ``predict_stream``; a plain generator once for each request."""
        function = self._loaded().predict_stream
        made = None if inspect.isgeneratorfunction(function) else function(requests)
        if made is None or inspect.isgenerator(made):  # behind a decorator it shows only now
            async for request in requests:
                async with aclosing(self._step_through(function(iter([request])))) as answers:
                    async for answer in answers:
                        yield answer
            return
        answers = await made if inspect.isawaitable(made) else made
        try:
            async for answer in answers:
                yield answer
        finally:
            if hasattr(answers, "aclose"):
                await answers.aclose()

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Runs another method of the model."""
        function = getattr(self._loaded(), method)
        if not inspect.iscoroutinefunction(function):
            return await self._run(functools.partial(function, **arguments))
        return await function(**arguments)

    async def idle(self) -> None:
        """Nothing runs without a caller who waits for it."""

    async def unload(self) -> None:
        """Runs the model's ``unload``."""
        if self._model is not None:
            await self._run(self._model.unload)

    async def close(self) -> None:
        """Has nothing to free."""

    def _loaded(self) -> RunnableModel:
        if self._model is None:
            raise RuntimeError("the model was asked before it was loaded")
        return self._model

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result

    def _start(self, function: Callable[..., Any], *arguments: Any) -> Call:
        """Calls a plain function, in the context of its caller."""
        call = Call(asyncio.get_running_loop().create_future(), function, arguments)
        try:
            call.finish(function(*arguments), None)
        except BaseException as error:  # noqa: BLE001  # the model's; raised to its caller
            call.finish(None, error)
        try:
            return call
        finally:
            del call  # the traceback of an error holds this frame

    async def _result_of(self, call: Call) -> Any:
        """What a function returned. If this is cancelled, one that has not begun never does."""
        try:
            return await call.answer
        finally:
            del call  # or else an error holds, by its traceback, what holds it

    async def _step_through(self, generator: Generator[Any, Any, Any]) -> AsyncGenerator[Any, None]:
        """The values of a plain generator, each step run where plain functions run."""
        step: Call | None = None
        try:
            while True:
                step = self._start(next, generator, _END)
                value = await self._result_of(step)
                if value is _END:
                    return
                yield value
        finally:
            await asyncio.shield(asyncio.ensure_future(self._finish(generator, step)))
            del step  # or else an error holds, by its traceback, what holds it

    async def _finish(self, generator: Generator[Any, Any, Any], step: Call | None) -> None:
        """Closes a generator, once a thread that may still be in it has come out."""
        if step is not None:
            await asyncio.wait([step.end()])
        if inspect.getgeneratorstate(generator) == inspect.GEN_CREATED:
            generator.close()  # which runs none of its code
        else:
            await self._run(generator.close)
