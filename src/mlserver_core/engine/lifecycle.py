"""Brings one model up, and takes it down."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import attrs

from mlserver_core.codecs import Codecs
from mlserver_core.engine.implementation import find_class
from mlserver_core.engine.model_table import ModelEntry
from mlserver_core.engine.module_space import ModuleSpace
from mlserver_core.engine.pipeline import compose
from mlserver_core.errors import ModelLoadError
from mlserver_core.executors.interfaces import Executor, ExecutorFactory
from mlserver_core.hooks.registry import Registry
from mlserver_core.middlewares.interfaces import MiddlewareFactory
from mlserver_core.model import MLModel
from mlserver_core.settings import ArtifactPolicy, ModelSettings, Settings
from mlserver_core.types import State

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("mlserver")

DEFAULT_EXECUTOR = "threads"


@attrs.frozen(kw_only=True)
class Parts:
    """What plugins have registered for the engine.

    Attributes:
        runtimes: dotted paths of MLModel subclasses, by name.
        codecs: the content types.
        executors: where models may run, by name.
        middlewares: what stands around inference, outermost first.
    """

    runtimes: Registry[str]
    codecs: Codecs
    executors: Registry[ExecutorFactory]
    middlewares: Sequence[MiddlewareFactory] = ()


@attrs.frozen(eq=False)
class LiveModel:
    """A loaded model and what keeps it alive.

    Attributes:
        entry: how the engine knows it.
    """

    entry: ModelEntry
    _executor: Executor
    _space: ModuleSpace | None

    async def unload(self) -> None:
        """Runs the model's ``unload`` and lets go of its modules."""
        try:
            with self._space.current() if self._space else nullcontext():
                await self._executor.unload()
        finally:
            if self._space is not None:
                self._space.close()


async def load(model_settings: ModelSettings, parts: Parts, settings: Settings) -> LiveModel:
    """Makes a model and runs its ``load``.

    Raises:
        ModelLoadError: says why; the cause has the traceback.
    """
    model_settings.policy = ArtifactPolicy(
        allow_pickle=settings.allow_pickle and model_settings.allow_pickle is not False,
        trusted_types=tuple(settings.trusted_types),
    )
    executor = _make_executor(model_settings, parts.executors)
    space = ModuleSpace(model_settings.folder) if model_settings.folder else None
    if space is not None:
        space.open()
    try:
        model = await _load(model_settings, parts, executor, space)
    except BaseException:  # a cancelled load leaves nothing behind either
        if space is not None:
            space.close()
        raise
    enter = space.current if space is not None else nullcontext
    infer = compose(
        model_settings,
        executor,
        enter,
        [make(model_settings) for make in parts.middlewares],
        error_detail=settings.error_detail,
    )
    entry = ModelEntry(settings=model_settings, state=State.READY, model=model, infer=infer)
    return LiveModel(entry, executor, space)


async def _load(
    settings: ModelSettings, parts: Parts, executor: Executor, space: ModuleSpace | None
) -> MLModel:
    made: list[MLModel] = []

    def make() -> MLModel:
        model = find_class(settings, parts.runtimes, space)(settings)
        model.codecs = parts.codecs
        made.append(model)
        return model

    try:
        with space.current() if space else nullcontext():
            result = await executor.load(make)
    except ModelLoadError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelLoadError(settings.name, f"{type(error).__name__}: {error}") from error
    if result is not None and not result:  # None is success: many runtimes return nothing
        raise ModelLoadError(settings.name, "load() returned False")
    model = made[0]
    model.ready = True
    return model


def _make_executor(settings: ModelSettings, executors: Registry[ExecutorFactory]) -> Executor:
    name = settings.executor or DEFAULT_EXECUTOR
    make: Callable[[ModelSettings], Executor] | None = executors.get(name)
    if make is None:
        raise ModelLoadError(
            settings.name,
            f"there is no executor {name!r}; known are {', '.join(executors)}",
        )
    return make(settings)
