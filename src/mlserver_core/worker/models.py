"""The models that live in this process."""

from __future__ import annotations

import logging

import attrs

from mlserver_core.engine.lifecycle import LiveModel, discard, load
from mlserver_core.engine.model_table import Serving
from mlserver_core.engine.parts import Parts
from mlserver_core.engine.remote_model import describe
from mlserver_core.errors import MLServerError, ModelLoadError, Unavailable
from mlserver_core.executors.interfaces import Executor, ModelDescription
from mlserver_core.executors.processes.frames import Kind
from mlserver_core.metrics.custom import ModelMetrics
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.worker.sender import Sender

logger = logging.getLogger("mlserver")


@attrs.define(eq=False)
class Models:
    """Loads and unloads generations: each is one load of one model, and another load of it
    stands beside it.

    Attributes:
        settings: the server's.
        parts: what plugins bring.
        sender: to the server.
    """

    settings: Settings
    parts: Parts
    sender: Sender
    _live: dict[int, LiveModel] = attrs.field(factory=dict, init=False)
    _ready: dict[int, bool] = attrs.field(factory=dict, init=False)

    async def load(
        self, generation: int, settings: ModelSettings, metrics: ModelMetrics
    ) -> ModelDescription:
        """Loads a model.

        Args:
            generation: that the server gave this load.
            settings: of the model.
            metrics: what is counted of it.

        Raises:
            ModelLoadError: says why; the log has the traceback where the runtime raised.
        """
        try:
            live = await load(settings, self.parts, self.settings, metrics)
            await _check_handlers(live)
        except ModelLoadError as error:
            if error.__cause__ is not None:
                logger.error(  # noqa: TRY400  # the traceback is that of the cause
                    "Model %r failed in load", settings.name, exc_info=error.__cause__
                )
            raise
        self._live[generation], self._ready[generation] = live, True
        return describe(live.serving.model)

    async def unload(self, generation: int) -> None:
        """Unloads a model; what its ``unload`` raises is logged. One that is not there is none."""
        live = self._live.pop(generation, None)
        self._ready.pop(generation, None)
        if live is not None:
            await discard(live)

    async def unload_all(self) -> None:
        """Unloads every model, newest first."""
        for generation in list(reversed(self._live)):
            await self.unload(generation)

    def find(self, generation: int) -> Serving:
        """What answers for a generation; raises Unavailable for one that is not here."""
        live = self._live.get(generation)
        if live is None:
            raise Unavailable("the model is not loaded in this worker")
        return live.serving

    def executor(self, generation: int) -> Executor | None:
        """What runs the code of a generation; None for one that is not here."""
        live = self._live.get(generation)
        return None if live is None else live.executor

    def report_ready(self, generation: int) -> None:
        """Tells the server when a model says something else of its ``ready`` than before."""
        live = self._live.get(generation)
        if live is None:
            return
        try:
            ready, error = bool(live.serving.model.ready), None
        except Exception as raised:  # noqa: BLE001  # of the model; logged once, below
            ready, error = False, raised
        if self._ready[generation] is not ready:
            if error is not None:
                logger.error(
                    "Model %r cannot say whether it is ready", live.settings.name, exc_info=error
                )
            self._ready[generation] = ready
            self.sender.send(Kind.READY, 0, {"generation": generation, "ready": ready})

    def report_all_ready(self) -> None:
        """The same for every model."""
        for generation in self._live:
            self.report_ready(generation)


async def _check_handlers(live: LiveModel) -> None:
    """Refuses a custom handler that could not be called: its author must act."""
    routes = live.serving.routes
    if not routes:
        return
    # Not at the top: most models have none, and it brings an HTTP library.
    from mlserver_core.rest.binding import make_plan

    try:
        for route in routes:
            function = getattr(live.serving.model, route.handler)
            make_plan(function, route.custom.rest_method, route.variables)
    except MLServerError as error:
        await discard(live)
        raise ModelLoadError(live.settings.name, str(error)) from None
