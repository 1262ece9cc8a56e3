"""Brings one model up, and takes it down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import attrs

from mlserver_core.codecs import Codecs
from mlserver_core.engine.implementation import find_class
from mlserver_core.engine.model_table import ModelEntry
from mlserver_core.engine.module_space import ModuleSpace
from mlserver_core.engine.pipeline import compose
from mlserver_core.errors import MLServerError, ModelLoadError
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


@attrs.define(eq=False)
class LiveModel:
    """A model and what keeps it alive.

    Attributes:
        entry: how the engine knows it.
        executor: where it lives; None before that is known.
        space: the modules of its folder, if it has one.
    """

    entry: ModelEntry
    executor: Executor | None = None
    space: ModuleSpace | None = None

    def current(self) -> AbstractContextManager[None]:
        """Inside, plain names mean the model's modules."""
        return self.space.current() if self.space else nullcontext()

    async def unload(self) -> None:
        """Runs the model's ``unload`` and lets go of everything."""
        try:
            if self.executor is not None:
                with self.current():
                    await self.executor.unload()
        finally:
            await self.discard()

    async def discard(self) -> None:
        """Lets go of the model's threads and modules."""
        try:
            if self.executor is not None:
                await self.executor.close()
        finally:
            if self.space is not None:
                self.space.close()


async def load(model_settings: ModelSettings, parts: Parts, settings: Settings) -> LiveModel:
    """Makes a model and runs its ``load``. What fails leaves nothing behind.

    Raises:
        ModelLoadError: says why; the cause has the traceback.
        CancelledError: the caller was cancelled, or the runtime raised it.
    """
    model_settings.policy = ArtifactPolicy(
        allow_pickle=settings.allow_pickle and model_settings.allow_pickle is not False,
        trusted_types=tuple(settings.trusted_types),
    )
    live = LiveModel(ModelEntry(settings=model_settings, state=State.LOADING))
    if model_settings.folder is not None:
        live.space = ModuleSpace(model_settings.folder)
        live.space.open()
    try:
        await _bring_up(live, parts, settings)
    except BaseException as error:
        try:
            await (live.unload() if live.entry.model else live.discard())
        except Exception:  # why the load failed is what counts
            logger.exception("Model %r failed to unload after its load", model_settings.name)
        if isinstance(error, (ModelLoadError, asyncio.CancelledError, GeneratorExit)):
            raise
        if isinstance(error, MLServerError):  # a text for the operator, and no bug to trace
            raise ModelLoadError(model_settings.name, str(error)) from None
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError) and error.name == "mlserver":
            text += "; import from mlserver_core instead"
        raise ModelLoadError(model_settings.name, text) from error
    return live


async def _bring_up(live: LiveModel, parts: Parts, settings: Settings) -> None:
    model_settings = live.entry.settings
    live.executor = _make_executor(model_settings, parts.executors)
    made: list[MLModel] = []

    def make() -> MLModel:
        model = find_class(model_settings, parts.runtimes, live.space)(model_settings)
        model.codecs = parts.codecs
        made.append(model)
        return model

    with live.current():
        result = await live.executor.load(make)
    if result is not None and not result:  # None is success: many runtimes return nothing
        raise ModelLoadError(model_settings.name, "load() returned False")
    if type(made[0]).predict is MLModel.predict:
        logger.warning("Model %r has no predict(): requests to it will fail", model_settings.name)
    live.entry = attrs.evolve(live.entry, model=made[0])
    infer = compose(
        model_settings,
        live.executor,
        live.current,
        [make_middleware(model_settings) for make_middleware in parts.middlewares],
        error_detail=settings.error_detail,
    )
    made[0].ready = True
    live.entry = attrs.evolve(live.entry, state=State.READY, infer=infer)


def _make_executor(settings: ModelSettings, executors: Registry[ExecutorFactory]) -> Executor:
    name = settings.executor or DEFAULT_EXECUTOR
    make: Callable[[ModelSettings], Executor] | None = executors.get(name)
    if make is None:
        raise ModelLoadError(
            settings.name,
            f"there is no executor {name!r}; known are {', '.join(executors)}",
        )
    return make(settings)
