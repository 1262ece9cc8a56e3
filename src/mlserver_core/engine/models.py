"""The models of one server: brings them up, replaces them and takes them down."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

import attrs

from mlserver_core.engine.failures import cut_paths
from mlserver_core.engine.lifecycle import LiveModel, discard, load
from mlserver_core.engine.model_table import ModelEntry, ModelTable, rank
from mlserver_core.engine.parts import Parts
from mlserver_core.engine.repository import find_model
from mlserver_core.engine.retirement import Retirement
from mlserver_core.engine.route_table import Route, RouteTable
from mlserver_core.engine.tasks import Tasks
from mlserver_core.errors import MLServerError, ModelLoadError, ModelNotFound, RuntimeFailed
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.repositories.interfaces import Repository, Unreadable
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.types import State

logger = logging.getLogger("mlserver")

#: What the reason of a model begins with that serves although its last load failed.
_LAST_LOAD = "the last load failed: "

Key = tuple[str, "str | None"]


@attrs.define(eq=False)
class Models:
    """Loads, reloads and unloads models, and knows their states.

    What is done to one model is done one after the other; different models do not wait for each
    other. The work goes on where the caller who asked for it leaves.

    Attributes:
        settings: the server's.
        table: the models that are known right now.
        routes: the custom handlers of those that serve.
        repository: where models come from; set before the first load by name.
        route_checks: of transports; each raises an MLServerError for a custom handler that it
            could not call, and the model is refused.
        tasks: loads, unloads and listings under way, which ``stop_loading`` gives up.
    """

    settings: Settings
    _parts: Parts
    _plugins: PluginManager
    table: ModelTable = attrs.field(factory=ModelTable, init=False)
    routes: RouteTable = attrs.field(factory=RouteTable, init=False)
    repository: Repository | None = attrs.field(default=None, init=False)
    route_checks: list[Callable[[Route], None]] = attrs.field(factory=list, init=False)
    _live: dict[Key, LiveModel] = attrs.field(factory=dict, init=False)
    _retirement: Retirement = attrs.field(
        default=attrs.Factory(lambda self: Retirement(self._unloaded), takes_self=True), init=False
    )
    tasks: Tasks = attrs.field(factory=Tasks, init=False)
    _locks: WeakValueDictionary[str, asyncio.Lock] = attrs.field(
        factory=WeakValueDictionary, init=False
    )
    _started: bool = attrs.field(default=False, init=False)

    @property
    def stopping(self) -> bool:
        """Does it load no more?"""
        return self.tasks.stopping

    def ready(self) -> bool:
        """Can every model answer that the server is meant to serve?"""
        expected = (entry for entry in self.table if entry.expected)
        return self._started and not self.stopping and all(entry.ready for entry in expected)

    async def load_all(
        self, models: Iterable[ModelSettings], unreadable: Iterable[Unreadable] = ()
    ) -> list[ModelLoadError]:
        """Loads models side by side; to be called once, at start.

        Args:
            models: what to load.
            unreadable: models that are expected too, but whose settings cannot be used.

        Returns:
            What failed; it stays listed with its reason. Empty when ``stop_loading`` came first.
        """
        models = [copy.copy(model) for model in models]  # the server writes into its own
        for model in models:
            self._put(ModelEntry(settings=model, state=State.LOADING))
        failed = [
            self._failed(ModelSettings(name=each.name, implementation=""), "; ".join(each.problems))
            for each in unreadable
        ]
        by_name: dict[str, list[ModelSettings]] = {}
        for model in models:
            by_name.setdefault(model.name, []).append(model)
        loads = [self.tasks.start(self._load_versions(*each)) for each in by_name.items()]
        if loads:
            await asyncio.wait(loads)
        if self.stopping:
            return []
        self._started = True
        return failed + [error for task in loads for error in task.result()]

    async def load(self, name: str) -> None:
        """Loads every version of a model that the repository has now, and unloads those that
        it has no more.

        A version that is loaded already serves until its successor does; the requests it works
        on are finished before it is unloaded. When a load fails, what served before goes on.

        Raises:
            ModelNotFound: the repository has no such model.
            RuntimeFailed: a version failed to load; says why.
            Unavailable: the server is stopping.
        """
        await self.tasks.finish(self._load_named(name))

    async def unload(self, name: str) -> None:
        """Takes every version of a model out of service, and unloads it once the requests it
        works on are finished.

        Raises:
            ModelNotFound: no such model is known.
            Unavailable: the server is stopping.
        """
        await self.tasks.finish(self._unload_named(name))

    async def stop_loading(self, seconds: float | None = None) -> None:
        """The server is no longer ready, and loads that are under way are given up.

        Args:
            seconds: how long what they leave behind may take to be cleared away.
        """
        await self.tasks.stop(seconds)

    async def unload_all(self, seconds: float | None = None) -> None:
        """Unloads every model, newest first; those in other processes all at once.

        Args:
            seconds: how long one may take; one that takes longer, or fails, is logged and left.
        """
        busy = await self._retirement.end(seconds)
        lives = [*reversed(self._live.values()), *busy]
        await asyncio.gather(*(self._end(live, seconds) for live in lives if live.remote))
        for live in lives:
            if not live.remote:
                await self._end(live, seconds)
        self._live.clear()

    async def _end(self, live: LiveModel, seconds: float | None) -> None:
        entry = self.table.get(live.settings.name, live.settings.version)
        if entry is not None:
            self._put(attrs.evolve(entry, state=State.UNAVAILABLE, serving=None))
        await discard(live, seconds)
        self._plugins.notify("mlserver_model_unloaded", model=live.model)

    async def _load_versions(
        self, name: str, versions: Iterable[ModelSettings]
    ) -> list[ModelLoadError]:
        async with self._lock(name):
            outcomes = await asyncio.gather(*map(self._load, versions))
        return [outcome for outcome in outcomes if outcome is not None]

    async def _load_named(self, name: str) -> None:
        async with self._lock(name):
            listing = await find_model(self.repository, name)
            # One after the other: a load may need much more memory than what it leaves.
            outcomes = [await self._load(copy.copy(model)) for model in listing.models]
            reasons = [str(outcome) for outcome in outcomes if outcome is not None]
            problems = [text for each in listing.unreadable for text in each.problems]
            if problems:
                self._note(name, "; ".join(problems))
            if reasons or problems:
                raise RuntimeFailed(cut_paths("; ".join(reasons + problems)))
            found = {model.version or "" for model in listing.models}
            for entry in self.table.entries(name):
                if (entry.settings.version or "") not in found:
                    self._take_down(entry)

    async def _unload_named(self, name: str) -> None:
        async with self._lock(name):
            entries = self.table.entries(name)
            if not entries:
                raise ModelNotFound(name)
            retired = [task for entry in entries for task in self._take_down(entry)]
        # Outside the lock: a model that never finishes its work holds up no new load.
        await asyncio.gather(*map(asyncio.shield, retired))

    async def _load(self, model_settings: ModelSettings) -> ModelLoadError | None:
        known = self.table.get(model_settings.name, model_settings.version)
        if known is None or known.serving is None:
            self._put(ModelEntry(settings=model_settings, state=State.LOADING))
        try:
            live = await load(model_settings, self._parts, self.settings)
            await self._check_routes(live)
        except ModelLoadError as error:
            return self._failed(model_settings, error.message, error.__cause__, known)
        except asyncio.CancelledError as error:
            if self.stopping:
                raise
            text = "CancelledError: the runtime cancelled its own work"
            return self._failed(model_settings, text, error, known)
        self._serve(live)
        return None

    async def _check_routes(self, live: LiveModel) -> None:
        try:
            self.routes.check(live.serving.routes)
            for check in self.route_checks:
                for route in live.serving.routes:
                    check(route)
        except MLServerError as error:
            await discard(live)
            raise ModelLoadError(live.settings.name, str(error)) from None

    def _serve(self, live: LiveModel) -> None:
        settings = live.settings
        key = settings.name, settings.version
        before = self._live.pop(key, None)
        self._live[key] = live
        self._plugins.notify("mlserver_model_loaded", model=live.model)
        self._put(ModelEntry(settings=settings, state=State.READY, serving=live.serving))
        if before is not None:
            self._retirement.add(before)

    def _failed(
        self,
        settings: ModelSettings,
        reason: str,
        cause: BaseException | None = None,
        known: ModelEntry | None = None,
    ) -> ModelLoadError:
        where = f" ({settings.source})" if settings.source else ""
        # The traceback is the cause's, where the runtime raised; else there is none to show.
        logger.error("Model %r%s failed to load: %s", settings.name, where, reason, exc_info=cause)
        if known is not None and known.serving is not None:
            entry = attrs.evolve(known, reason=_LAST_LOAD + reason)
        else:
            self._forget_metrics(settings)
            expected = not self._started or (known is not None and known.expected)
            entry = ModelEntry(
                settings=settings, state=State.UNAVAILABLE, reason=reason, expected=expected
            )
        self._put(entry)
        return ModelLoadError(settings.name, reason)

    def _note(self, name: str, problem: str) -> None:
        """Says of every known version why the model's settings cannot be used any more."""
        for entry in self.table.entries(name):
            reason = (_LAST_LOAD if entry.serving is not None else "") + problem
            self._put(attrs.evolve(entry, reason=reason))

    def _take_down(self, entry: ModelEntry) -> list[asyncio.Task[None]]:
        """Takes a version out of service; it is unloaded when the tasks have ended."""
        name, version = entry.settings.name, entry.settings.version
        live = self._live.pop((name, version), None)
        if live is not None:
            self._retirement.add(live)
            leaving = attrs.evolve(entry, state=State.UNLOADING, expected=False, serving=None)
            self._put(leaving)
        elif entry.state is not State.UNLOADING:
            self._forget(entry)
        return self._retirement.tasks(name, version)

    def _unloaded(self, live: LiveModel) -> None:
        name, version = live.settings.name, live.settings.version
        entry = self.table.get(name, version)
        leaving = entry is not None and entry.state is State.UNLOADING
        if entry is not None and leaving and not self._retirement.tasks(name, version):
            self._forget(entry)
        self._plugins.notify("mlserver_model_unloaded", model=live.model)

    def _put(self, entry: ModelEntry) -> None:
        before = self.table.get(entry.settings.name, entry.settings.version)
        self.table = self.table.with_entry(entry)
        self._index_routes(before, entry)

    def _forget(self, entry: ModelEntry) -> None:
        self.table = self.table.without(entry)
        self._forget_metrics(entry.settings)
        self._index_routes(entry)

    def _forget_metrics(self, settings: ModelSettings) -> None:
        if self._parts.metrics is not None:
            self._parts.metrics.forget(settings.name, settings.version)

    def _index_routes(self, *changed: ModelEntry | None) -> None:
        """Of the versions of a model the default one answers first, as it does elsewhere."""
        if any(entry and entry.serving and entry.serving.routes for entry in changed):
            entries = sorted(self.table, key=rank, reverse=True)
            serving = [entry.serving for entry in entries if entry.serving]
            self.routes = RouteTable.of(route for each in serving for route in each.routes)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
