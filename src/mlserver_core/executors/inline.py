"""The executor that runs a model's code on the event loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs

from mlserver_core.executors.interfaces import RunnableModel
from mlserver_core.settings import ModelSettings


@attrs.define
class InlineExecutor:
    """Runs everything on the event loop, a plain ``def predict`` included.

    For models whose plain ``predict`` takes microseconds: a slow one holds up every other
    request.
    """

    settings: ModelSettings
    _model: RunnableModel | None = attrs.field(default=None, init=False)

    async def load(self, make: Callable[[], RunnableModel]) -> Any:
        """Makes the model and runs its ``load``."""
        self._model = make()
        return await self._run(self._model.load)

    async def predict(self, request: Any) -> Any:
        """Runs the model's ``predict``."""
        if self._model is None:
            raise RuntimeError("predict() before load()")
        return await self._run(self._model.predict, request)

    async def unload(self) -> None:
        """Runs the model's ``unload``."""
        if self._model is not None:
            await self._run(self._model.unload)

    async def close(self) -> None:
        """Has nothing to free."""

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result
