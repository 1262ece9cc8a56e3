"""Lists in constructors: of plain numbers, and of objects that may come as dicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def to_list(value: Iterable[Any]) -> list[Any]:
    """``value`` itself if it is a list, else a list of its items."""
    return value if isinstance(value, list) else list(value)


def make_all(cls: Any, values: Any) -> Any:
    """A list of ``cls``, made of instances and of dicts with their fields."""
    if isinstance(values, list):
        kinds = set(map(type, values))
        if kinds <= {cls} or all(issubclass(kind, cls) for kind in kinds):
            return values  # the caller's own list, so that appending to it is seen
    return [value if isinstance(value, cls) else cls(**value) for value in values]
