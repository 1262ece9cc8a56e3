"""Brings one model up, and takes it down."""

from __future__ import annotations

import asyncio
import logging

import attrs

from mlserver_core.codecs.decorator import prepare
from mlserver_core.codecs.lookup import ModelCodecs
from mlserver_core.codecs.registration import find_marked, model_modules
from mlserver_core.custom_handlers import CustomHandler
from mlserver_core.engine.deadlines import take_limits
from mlserver_core.engine.failures import Failures
from mlserver_core.engine.implementation import find_class
from mlserver_core.engine.model_context import ModelContext
from mlserver_core.engine.model_table import Serving
from mlserver_core.engine.module_space import ModuleSpace
from mlserver_core.engine.parts import Parts
from mlserver_core.engine.pipeline import (
    Surroundings,
    close_middlewares,
    compose,
    compose_call,
    compose_exchange,
    compose_stream,
    stream_of,
)
from mlserver_core.engine.placement import in_workers, make_executor, slots
from mlserver_core.engine.remote_model import RemoteModel, describe
from mlserver_core.engine.route_table import Route
from mlserver_core.engine.unused_settings import find_unused
from mlserver_core.engine.warmup import warm_up
from mlserver_core.errors import MLServerError, ModelLoadError
from mlserver_core.executors.interfaces import (
    Executor,
    ModelDescription,
    ModelSource,
    RemoteExecutor,
)
from mlserver_core.metrics.custom import ModelMetrics
from mlserver_core.middlewares.interfaces import Middleware
from mlserver_core.model import MLModel
from mlserver_core.settings import ArtifactPolicy, ModelSettings, Settings

logger = logging.getLogger("mlserver")


@attrs.define(eq=False)
class LiveModel:
    """A model and what keeps it alive.

    Attributes:
        settings: its settings.
        context: what its code finds around it.
        executor: where it lives; None before that is known.
        codecs: the codecs it sees, its own among them; None before it is made.
        model: the model, once made.
        serving: what answers its requests, once loaded.
    """

    settings: ModelSettings
    context: ModelContext
    executor: Executor | None = None
    codecs: ModelCodecs | None = None
    model: MLModel | None = None
    _serving: Serving | None = None
    _middlewares: list[Middleware] = attrs.field(factory=list, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    @property
    def serving(self) -> Serving:
        """What answers its requests; only for a model whose load has succeeded."""
        if self._serving is None:
            raise RuntimeError(f"model {self.settings.name!r} is not loaded")
        return self._serving

    @property
    def remote(self) -> bool:
        """Does it live in other processes?"""
        return isinstance(self.executor, RemoteExecutor)

    async def bring_up(self, parts: Parts, settings: Settings) -> None:
        """Makes the model, runs its ``load`` and puts together what answers requests.

        Raises:
            ModelLoadError: it cannot be served. Whatever the runtime raises comes through.
        """
        model, description = await self._make(parts)
        surroundings = Surroundings(
            settings=self.settings,
            executor=self._executor(),
            context=self.context,
            failures=Failures(self.settings, settings.error_detail),
            slots=slots(self.settings, parts),
        )
        middlewares = self._middlewares
        middlewares += [make_middleware(self.settings) for make_middleware in parts.middlewares]
        infer = compose(surroundings, middlewares)
        streams = description.streams
        executor = self._executor()
        remote = executor if isinstance(executor, RemoteExecutor) else None
        if remote is None:  # elsewhere each process does it by itself
            await warm_up(surroundings, description)
        self._serving = Serving(
            model=model,
            context=self.context,
            infer=infer,
            infer_stream=compose_stream(surroundings, middlewares) if streams else stream_of(infer),
            call=compose_call(surroundings),
            exchange=None if remote is None else compose_exchange(remote, surroundings),
            routes=tuple(
                Route(
                    model=self.settings.name,
                    version=self.settings.version,
                    handler=handler.name,
                    function=None if remote else getattr(model, handler.name),
                    custom=CustomHandler(handler.rest_path, handler.rest_method),
                )
                for handler in description.handlers
            ),
            available=remote.available if remote else lambda: True,
            reason=remote.reason if remote else lambda: "",
        )
        answers = description.predicts or streams or description.handlers
        if not answers and parts.workers is not None:  # once, and not in each worker too
            logger.warning(
                "Model %r has no predict(): requests to it will fail", self.settings.name
            )
        model.ready = True

    async def idle(self) -> None:
        """Returns when no code of the model runs any more."""
        if self.executor is not None:
            await self.executor.idle()

    def close_middlewares(self) -> None:
        """The model takes no more requests: what its middlewares keep for them may go.

        Calling it again does nothing.
        """
        close_middlewares(self._middlewares, self.settings)
        self._middlewares.clear()

    async def unload(self) -> None:
        """Runs the model's ``unload``, if it was made, and lets go of its threads and modules.

        Calling it again does nothing.
        """
        if self._ended:
            return
        self._ended = True
        self.close_middlewares()
        try:
            if self.executor is not None and self.model is not None:
                with self.context.around():
                    await self.executor.unload()
        finally:
            await self._discard()

    async def _make(self, parts: Parts) -> tuple[MLModel, ModelDescription]:
        self.executor = make_executor(self.settings, parts)

        def make() -> MLModel:
            found = find_class(self.settings, parts.runtimes, self.context.space)
            model = found(self.settings)
            space = self.context.space
            marked = find_marked(model_modules(found, space.package if space else None))
            self.codecs = parts.codecs.for_model(self.settings.name, marked)
            model.codecs = self.codecs
            prepare(model)
            self.model = model
            return model

        with self.context.around():
            source = ModelSource(
                settings=self.settings,
                make=make,
                runtime=parts.runtimes.get(str(self.settings.implementation)),
                metrics=self.context.metrics,
            )
            result = await self.executor.load(source)
        if isinstance(self.executor, RemoteExecutor):
            if not isinstance(result, ModelDescription):
                name = type(self.executor).__name__
                raise ModelLoadError(self.settings.name, f"{name}.load gave no ModelDescription")
            self.model = RemoteModel(self.settings, self.executor)
            self.model.inputs, self.model.outputs = list(result.inputs), list(result.outputs)
            return self.model, result
        if result is not None and not result:  # None is success: many runtimes return nothing
            raise ModelLoadError(self.settings.name, "load() returned False")
        if self.model is None:
            raise ModelLoadError(
                self.settings.name, f"executor {self.settings.executor!r} made no model"
            )
        return self.model, describe(self.model)

    def _executor(self) -> Executor:
        if self.executor is None:
            raise RuntimeError(f"model {self.settings.name!r} has no executor")
        return self.executor

    async def _discard(self) -> None:
        try:
            if self.executor is not None:
                await self.executor.close()
        finally:
            if self.codecs is not None:
                self.codecs.withdraw()
            if self.context.space is not None:
                self.context.space.close()


async def load(
    model_settings: ModelSettings,
    parts: Parts,
    settings: Settings,
    metrics: ModelMetrics | None = None,
) -> LiveModel:
    """Makes a model and runs its ``load``. What fails leaves nothing behind.

    Args:
        model_settings: of the model.
        parts: of the server.
        settings: of the server.
        metrics: what is counted of the model; None for what the metrics of ``parts`` say.

    Raises:
        ModelLoadError: says why; the cause has the traceback.
        CancelledError: the caller was cancelled, or the runtime raised it.
    """
    take_limits(model_settings, settings)
    model_settings.policy = ArtifactPolicy(
        allow_pickle=settings.allow_pickle and model_settings.allow_pickle is not False,
        trusted_types=tuple(settings.trusted_types),
    )
    space = None
    if model_settings.folder is not None and not in_workers(model_settings, parts):
        space = ModuleSpace(model_settings.folder)
        space.open()
    counted = metrics or _metrics_of(model_settings, parts)
    label = ":".join(filter(None, (model_settings.name, model_settings.version)))
    live = LiveModel(model_settings, ModelContext(space, counted, label))
    if parts.workers is not None:  # a worker has settings of its own, and its server has said it
        for text in find_unused(model_settings, parts, settings):
            logger.warning("Model %r: %s", model_settings.name, text)
    try:
        await live.bring_up(parts, settings)
    except BaseException as error:
        await discard(live)
        if isinstance(error, (ModelLoadError, asyncio.CancelledError, GeneratorExit)):
            raise
        if isinstance(error, MLServerError):  # a text for the operator, and no bug to trace
            raise ModelLoadError(model_settings.name, str(error)) from None
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError) and error.name == "mlserver":
            text += "; import from mlserver_core instead"
        raise ModelLoadError(model_settings.name, text) from error
    return live


async def discard(live: LiveModel, seconds: float | None = None) -> None:
    """Unloads a model that will not serve; what its ``unload`` raises is logged.

    Args:
        live: the model.
        seconds: how long that may take; a model that takes longer is logged and left.
    """
    try:
        await asyncio.wait_for(_unload(live), seconds)
    except asyncio.TimeoutError:
        logger.warning("Model %r did not unload within %s seconds", live.settings.name, seconds)


async def _unload(live: LiveModel) -> None:
    try:
        await live.unload()
    except Exception:  # why it does not serve is what counts
        logger.exception("Model %r failed to unload after its load", live.settings.name)


def _metrics_of(settings: ModelSettings, parts: Parts) -> ModelMetrics:
    if parts.metrics is None:
        return ModelMetrics()
    return parts.metrics.of_model(settings.name, settings.version)
