"""The models that are known right now, as a value that is replaced whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from mlserver_core.engine.versions import natural_key
from mlserver_core.errors import ModelNotFound
from mlserver_core.middlewares.interfaces import Infer
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import State


@attrs.frozen(kw_only=True, eq=False)
class ModelEntry:
    """One version of a model.

    Attributes:
        settings: its settings.
        state: where it is between repository and serving.
        reason: why it is in that state, for the operator; may be empty.
        model: the model, once loaded.
        infer: what answers a request, once loaded.
    """

    settings: ModelSettings
    state: State
    reason: str = ""
    model: MLModel | None = None
    infer: Infer | None = None

    @property
    def ready(self) -> bool:
        """Can it answer? False too where the runtime has lowered its own ``ready``."""
        return self.state is State.READY and self.model is not None and bool(self.model.ready)


@attrs.frozen(eq=False)
class ModelTable:
    """Every known version of every known model.

    Requests read the table they find without a lock; a load or unload makes another.
    """

    _entries: Mapping[str, Mapping[str, ModelEntry]] = attrs.field(factory=dict)

    def find(self, name: str, version: str | None = None) -> ModelEntry:
        """The entry of a model, in its default version where none is asked for.

        The default is the unversioned entry, or else the newest version.

        Raises:
            ModelNotFound: no such model, or not in that version.
        """
        versions = self._entries.get(name)
        entry = None
        if versions:
            if version:
                entry = versions.get(version)
            else:
                entry = versions.get("") or versions[max(versions, key=natural_key)]
        if entry is None:
            raise ModelNotFound(name, version or None)
        return entry

    def versions(self, name: str) -> list[str]:
        """The versions of a model that can answer, oldest first."""
        ready = (version for version, entry in self._entries[name].items() if entry.ready)
        return sorted(filter(None, ready), key=natural_key)

    def with_entry(self, entry: ModelEntry) -> ModelTable:
        """A table in which ``entry`` stands for its name and version."""
        name, version = entry.settings.name, entry.settings.version or ""
        versions = {**self._entries.get(name, {}), version: entry}
        return ModelTable({**self._entries, name: versions})

    def __iter__(self) -> Iterator[ModelEntry]:
        for name in sorted(self._entries):
            versions = self._entries[name]
            for version in sorted(versions, key=natural_key):
                yield versions[version]
