"""The engine: what every transport asks."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
from collections.abc import Iterable

import attrs

from mlserver_core.engine.admission import admit
from mlserver_core.engine.in_flight import InFlight
from mlserver_core.engine.lifecycle import LiveModel, Parts, load
from mlserver_core.engine.model_table import ModelEntry, ModelTable
from mlserver_core.errors import (
    InternalError,
    MLServerError,
    ModelLoadError,
    ModelNotReady,
    PermissionDenied,
    Unavailable,
)
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataServerResponse,
    RepositoryIndexResponseItem,
    State,
)
from mlserver_core.types.context import RequestContext

logger = logging.getLogger("mlserver")

#: Names of the protocol extensions that are there, for the server's metadata.
EXTENSIONS = ("binary_tensor_data", "parameters")


@attrs.define(eq=False)
class InferenceEngine:
    """Loads models and answers for them.

    Attributes:
        settings: the server's.
        in_flight: the requests that are being answered.
    """

    settings: Settings
    _parts: Parts
    _plugins: PluginManager
    in_flight: InFlight = attrs.field(factory=InFlight, init=False)
    _table: ModelTable = attrs.field(factory=ModelTable, init=False)
    _live: list[LiveModel] = attrs.field(factory=list, init=False)
    _loaded: bool = attrs.field(default=False, init=False)
    _loads: list[asyncio.Task[ModelLoadError | None]] = attrs.field(factory=list, init=False)
    _stopping: bool = attrs.field(default=False, init=False)

    async def infer(
        self,
        name: str,
        version: str | None,
        request: InferenceRequest,
        context: RequestContext,
    ) -> InferenceResponse:
        """Answers one inference request, which it checks and completes in place.

        Args:
            name: the model's name.
            version: its version; None or empty for the default one.
            request: what is asked.
            context: where it comes from.

        Raises:
            MLServerError: every failure, with its code; nothing else comes out.
        """
        if self._stopping:
            raise Unavailable("the server is stopping")
        entry = self._table.find(name, version)
        if not entry.ready or entry.infer is None:
            raise ModelNotReady(name, version or None)
        admit(request, entry.settings, context)
        with self.in_flight.one():
            try:
                return await entry.infer(request, context)
            except MLServerError:
                raise
            except Exception as error:
                logger.exception("A middleware failed on request %s of model %r", request.id, name)
                raise InternalError("internal error; the server's log has the details") from error

    async def metadata(self, name: str, version: str | None = None) -> MetadataModelResponse:
        """What the model says of itself; ``versions`` are the loaded ones unless declared.

        Raises:
            ModelNotFound: no such model or version.
            ModelNotReady: it is not loaded, so it cannot say.
        """
        entry = self._table.find(name, version)
        if entry.model is None:
            raise ModelNotReady(name, version or None)
        answer = entry.model.metadata()
        metadata = copy.copy(await answer if inspect.isawaitable(answer) else answer)
        metadata.versions = metadata.versions or self._table.versions(name)
        return metadata

    def model_ready(self, name: str, version: str | None = None) -> bool:
        """Can the model answer? Raises ModelNotFound for one that is not known."""
        return self._table.find(name, version).ready

    def ready(self) -> bool:
        """Can the server answer for every model it is meant to serve?"""
        return self._loaded and not self._stopping and all(entry.ready for entry in self._table)

    def server_metadata(self) -> MetadataServerResponse:
        """The server's name, version and protocol extensions."""
        return MetadataServerResponse(
            name=self.settings.server_name,
            version=self.settings.server_version,
            extensions=[*EXTENSIONS, *self.settings.extensions],
        )

    def index(self, *, ready: bool = False) -> list[RepositoryIndexResponseItem]:
        """Every version of every model and its state; with ``ready`` those that can answer.

        Raises:
            PermissionDenied: the repository API is off.
        """
        self._check_repository_api()
        return [
            RepositoryIndexResponseItem(
                name=entry.settings.name,
                version=entry.settings.version,
                state=State.READY if entry.ready else _not_ready(entry),
                reason=entry.reason,
            )
            for entry in self._table
            if entry.ready or not ready
        ]

    async def load_all(self, models: Iterable[ModelSettings]) -> list[ModelLoadError]:
        """Loads models side by side.

        Returns:
            What failed; it stays listed with its reason. Empty when ``stop_loading`` came first.
        """
        models = [copy.copy(model) for model in models]  # the server writes into its own
        for model in models:
            self._put(ModelEntry(settings=model, state=State.LOADING))
        self._loads = [asyncio.ensure_future(self._load(model)) for model in models]
        if self._loads:
            await asyncio.wait(self._loads)
        if self._stopping:
            return []
        self._loaded = True
        outcomes = [task.result() for task in self._loads]
        return [outcome for outcome in outcomes if outcome is not None]

    async def stop_loading(self) -> None:
        """The server is no longer ready, and loads that are under way are given up."""
        self._stopping = True
        for task in self._loads:
            task.cancel()
        await asyncio.gather(*self._loads, return_exceptions=True)

    async def unload_all(self, seconds: float | None = None) -> None:
        """Unloads every model, newest first.

        Args:
            seconds: how long one may take; one that takes longer, or fails, is logged and left.
        """
        while self._live:
            live = self._live.pop()
            model, settings = live.entry.model, live.entry.settings
            self._put(ModelEntry(settings=settings, state=State.UNAVAILABLE))
            try:
                await asyncio.wait_for(live.unload(), seconds)
            except asyncio.TimeoutError:
                logger.warning("Model %r did not unload within %s seconds", settings.name, seconds)
            except Exception:
                logger.exception("Model %r failed to unload", settings.name)
            self._plugins.notify("mlserver_model_unloaded", model=model)

    async def _load(self, model_settings: ModelSettings) -> ModelLoadError | None:
        try:
            live = await load(model_settings, self._parts, self.settings)
        except ModelLoadError as error:
            return self._failed(model_settings, error)
        except asyncio.CancelledError as error:
            if self._stopping:
                raise
            text = "CancelledError: the runtime cancelled its own work"
            failure = ModelLoadError(model_settings.name, text)
            failure.__cause__ = error
            return self._failed(model_settings, failure)
        self._live.append(live)
        self._plugins.notify("mlserver_model_loaded", model=live.entry.model)
        self._put(live.entry)
        return None

    def _failed(self, model_settings: ModelSettings, error: ModelLoadError) -> ModelLoadError:
        # The traceback is the cause's, where the runtime raised; else there is none to show.
        logger.error("%s", _explain(error, model_settings), exc_info=error.__cause__)
        self._put(
            ModelEntry(settings=model_settings, state=State.UNAVAILABLE, reason=error.message)
        )
        return error

    def _put(self, entry: ModelEntry) -> None:
        self._table = self._table.with_entry(entry)

    def _check_repository_api(self) -> None:
        wanted = self.settings.model_repository_api
        if wanted == "off" or (wanted == "auto" and not self.settings.is_local):
            raise PermissionDenied(
                "the model repository API is off; the operator can turn it on with "
                '"model_repository_api": "on" (MLSERVER_MODEL_REPOSITORY_API=on)'
            )


def _not_ready(entry: ModelEntry) -> State:
    return State.UNAVAILABLE if entry.state is State.READY else entry.state


def _explain(error: ModelLoadError, settings: ModelSettings) -> str:
    where = f" ({settings.source})" if settings.source else ""
    return f"Model {settings.name!r}{where} failed to load: {error.message}"
