"""The model repository (Triton's model repository extension)."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from mlserver_core.types.converter import structure
from mlserver_core.types.dumping import Dumpable
from mlserver_core.types.lists import make_all


class State(str, enum.Enum):
    """Where a model is between the repository and serving."""

    UNKNOWN = "UNKNOWN"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"

    __str__ = str.__str__


@attrs.define(kw_only=True)
class RepositoryIndexRequest(Dumpable):
    """Which models to list: all, or with ``ready`` only those that can answer."""

    ready: bool | None = None


@attrs.define(kw_only=True)
class RepositoryIndexResponseItem(Dumpable):
    """One version of a model in the repository.

    Attributes:
        reason: why it is in this state; empty when there is nothing to say.
    """

    name: str
    version: str | None = None
    state: State = attrs.field(converter=State)
    reason: str


def _to_items(values: Any) -> list[RepositoryIndexResponseItem]:
    made: list[RepositoryIndexResponseItem] = make_all(RepositoryIndexResponseItem, values)
    return made


@attrs.define
class RepositoryIndexResponse(Dumpable):
    """The list of models; on the wire it is the list itself."""

    root: list[RepositoryIndexResponseItem] = attrs.field(converter=_to_items)

    @classmethod
    def from_plain(cls, value: Any) -> RepositoryIndexResponse:
        """Makes it of the list itself, or of an object that holds the list as ``root``."""
        items = value.get("root") if isinstance(value, dict) else value
        return cls(structure(items, list[RepositoryIndexResponseItem]))

    def to_plain(self) -> list[Any]:
        """The items as plain dicts."""
        return [item.model_dump(exclude_none=True) for item in self.root]


@attrs.define(kw_only=True)
class RepositoryLoadErrorResponse(Dumpable):
    """The error object of a load call."""

    error: str | None = None


@attrs.define(kw_only=True)
class RepositoryUnloadErrorResponse(Dumpable):
    """The error object of an unload call."""

    error: str | None = None
