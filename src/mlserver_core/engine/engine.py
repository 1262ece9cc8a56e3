"""The engine: what every transport asks."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterable

import attrs

from mlserver_core.engine.admission import admit
from mlserver_core.engine.lifecycle import LiveModel, Parts, load
from mlserver_core.engine.model_table import ModelEntry, ModelTable
from mlserver_core.errors import ModelLoadError, ModelNotReady, PermissionDenied
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
EXTENSIONS = ("parameters",)


@attrs.define(eq=False)
class InferenceEngine:
    """Loads models and answers for them.

    Attributes:
        settings: the server's.
        in_flight: how many requests are being answered.
    """

    settings: Settings
    _parts: Parts
    _plugins: PluginManager
    in_flight: int = attrs.field(default=0, init=False)
    _table: ModelTable = attrs.field(factory=ModelTable, init=False)
    _live: list[LiveModel] = attrs.field(factory=list, init=False)
    _loaded: bool = attrs.field(default=False, init=False)
    _stopping: bool = attrs.field(default=False, init=False)
    _idle: asyncio.Event | None = attrs.field(default=None, init=False)

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
        entry = self._table.find(name, version)
        if not entry.ready or entry.infer is None:
            raise ModelNotReady(name, version or None)
        admit(request, entry.settings, context)
        self.in_flight += 1
        try:
            return await entry.infer(request, context)
        finally:
            self.in_flight -= 1
            if self._idle is not None and self.in_flight == 0:
                self._idle.set()

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
        metadata: MetadataModelResponse = await answer if inspect.isawaitable(answer) else answer
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

    async def drained(self, seconds: float) -> bool:
        """Waits until nothing is in flight, for so long at most; True when it came to that."""
        self._idle = asyncio.Event()
        if self.in_flight == 0:
            return True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    async def load_all(self, models: Iterable[ModelSettings]) -> list[ModelLoadError]:
        """Loads models side by side; returns what failed, which stays listed with its reason."""
        models = list(models)
        for model in models:
            self._put(ModelEntry(settings=model, state=State.LOADING))
        outcomes = await asyncio.gather(*(self._load(model) for model in models))
        self._loaded = True
        return [outcome for outcome in outcomes if outcome is not None]

    async def unload_all(self) -> None:
        """Unloads every model, newest first; one that fails to is logged."""
        self._stopping = True
        while self._live:
            live = self._live.pop()
            model = live.entry.model
            self._put(ModelEntry(settings=live.entry.settings, state=State.UNAVAILABLE))
            try:
                await live.unload()
            except Exception:
                logger.exception("Model %r failed to unload", live.entry.settings.name)
            self._plugins.notify("mlserver_model_unloaded", model=model)

    def start_stopping(self) -> None:
        """The server is no longer ready; requests in flight go on."""
        self._stopping = True

    async def _load(self, model_settings: ModelSettings) -> ModelLoadError | None:
        try:
            live = await load(model_settings, self._parts, self.settings)
        except ModelLoadError as error:
            # The traceback is the cause's, where the runtime raised; else there is none to show.
            logger.error(  # noqa: TRY400
                "%s", _explain(error, model_settings), exc_info=error.__cause__
            )
            self._put(
                ModelEntry(settings=model_settings, state=State.UNAVAILABLE, reason=error.message)
            )
            return error
        self._live.append(live)
        self._plugins.notify("mlserver_model_loaded", model=live.entry.model)
        self._put(live.entry)
        return None

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
