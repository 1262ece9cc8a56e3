"""The models that are known right now, as a value that is replaced whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import attrs

from mlserver_core.engine.in_flight import InFlight
from mlserver_core.engine.model_context import ModelContext
from mlserver_core.engine.route_table import Route
from mlserver_core.engine.versions import natural_key
from mlserver_core.errors import ModelNotFound, ModelNotReady, Overloaded, Unavailable
from mlserver_core.executors.interfaces import HttpAnswer
from mlserver_core.middlewares.interfaces import Infer, InferStream
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import State


@attrs.frozen(kw_only=True, eq=False)
class Serving:
    """A loaded model, and what answers for it.

    Attributes:
        model: the model.
        context: what its code finds around it.
        infer: answers a request.
        infer_stream: answers a stream of requests.
        call: runs a custom handler.
        exchange: runs a custom handler of a model in another process; None for one in this.
        routes: its custom handlers.
        available: could it be asked right now? False while no process that has it is there.
        reason: why it could not; may be empty.
        in_flight: what it is answering, as max_queue_size bounds it.
        describing: the calls of its ``metadata``, which it does not bound.
    """

    model: MLModel
    context: ModelContext
    infer: Infer
    infer_stream: InferStream
    call: Callable[..., Awaitable[Any]]
    exchange: Callable[..., AsyncGenerator[HttpAnswer | bytes, None]] | None = None
    routes: tuple[Route, ...] = ()
    available: Callable[[], bool] = lambda: True
    reason: Callable[[], str] = lambda: ""
    in_flight: InFlight = attrs.field(factory=InFlight)
    describing: InFlight = attrs.field(factory=InFlight)


@attrs.frozen(kw_only=True, eq=False)
class ModelEntry:
    """One version of a model.

    Attributes:
        settings: its settings.
        state: where it is between repository and serving.
        reason: why it is in that state, for the operator; may be empty.
        expected: is the server not ready without it?
        serving: what answers requests, once loaded.
    """

    settings: ModelSettings
    state: State
    reason: str = ""
    expected: bool = True
    serving: Serving | None = None

    @property
    def ready(self) -> bool:
        """Can it answer? False too where the runtime has lowered its own ``ready``."""
        serving = self.serving
        if self.state is not State.READY or serving is None:
            return False
        return serving.available() and bool(serving.model.ready)

    def check_ready(self, version: str | None) -> None:
        """Raises if it cannot answer.

        Args:
            version: the one that was asked for.

        Raises:
            Unavailable: no process that has the model is there just now.
            ModelNotReady: it is not loaded, or says of itself that it is not ready.
        """
        serving = self.serving
        if serving is not None and not serving.available():
            raise Unavailable(f"no worker can serve model {self.settings.name!r} right now")
        if self.state is not State.READY or serving is None or not serving.model.ready:
            raise ModelNotReady(self.settings.name, version or None)

    def check_room(self) -> None:
        """Raises Overloaded where as many requests wait or run as ``max_queue_size`` allows."""
        most = self.settings.max_queue_size
        if most is not None and self.serving is not None and self.serving.in_flight.count >= most:
            raise Overloaded(
                f"model {self.settings.name!r} works on max_queue_size ({most}) requests already; "
                "try again later"
            )


@attrs.frozen(eq=False)
class ModelTable:
    """Every known version of every known model.

    Requests read the table they find without a lock; a load or unload makes another.
    """

    _entries: Mapping[str, Mapping[str, ModelEntry]] = attrs.field(factory=dict)
    _defaults: Mapping[str, ModelEntry] = attrs.field(factory=dict)

    def find(self, name: str, version: str | None = None) -> ModelEntry:
        """The entry of a model, in its default version where none is asked for.

        The default is the unversioned entry, or else the newest version. A version that is
        not loaded takes no requests from one that is.

        Raises:
            ModelNotFound: no such model, or not in that version.
        """
        entry = self.get(name, version) if version else self._defaults.get(name)
        if entry is None:
            raise ModelNotFound(name, version or None)
        return entry

    def get(self, name: str, version: str | None) -> ModelEntry | None:
        """The entry of exactly this version, None being the unversioned one."""
        versions = self._entries.get(name)
        return None if versions is None else versions.get(version or "")

    def entries(self, name: str) -> list[ModelEntry]:
        """Every version of a model, oldest first; empty for one that is not known."""
        versions = self._entries.get(name, {})
        return [versions[version] for version in sorted(versions, key=natural_key)]

    def versions(self, name: str) -> list[str]:
        """The versions of a model that can answer, oldest first."""
        ready = (entry.settings.version for entry in self.entries(name) if entry.ready)
        return [version for version in ready if version]

    def with_entry(self, entry: ModelEntry) -> ModelTable:
        """A table in which ``entry`` stands for its name and version."""
        name, version = entry.settings.name, entry.settings.version or ""
        return self._with_versions(name, {**self._entries.get(name, {}), version: entry})

    def without(self, entry: ModelEntry) -> ModelTable:
        """A table that does not know the version of ``entry``."""
        name, version = entry.settings.name, entry.settings.version or ""
        versions = {key: each for key, each in self._entries[name].items() if key != version}
        if versions:
            return self._with_versions(name, versions)
        return ModelTable(
            {key: each for key, each in self._entries.items() if key != name},
            {key: each for key, each in self._defaults.items() if key != name},
        )

    def __iter__(self) -> Iterator[ModelEntry]:
        for name in sorted(self._entries):
            yield from self.entries(name)

    def _with_versions(self, name: str, versions: Mapping[str, ModelEntry]) -> ModelTable:
        return ModelTable(
            {**self._entries, name: versions}, {**self._defaults, name: _default(versions)}
        )


def rank(entry: ModelEntry) -> tuple[bool, bool, Any]:
    """Orders the versions of a model; the highest is the default."""
    version = entry.settings.version or ""
    return entry.state is State.READY, not version, natural_key(version)


def _default(versions: Mapping[str, ModelEntry]) -> ModelEntry:
    return max(versions.values(), key=rank)
