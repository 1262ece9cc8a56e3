"""Lists of text or bytes, or one alone: MLServer's functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def is_list_of(payload: Any, instance_type: type | tuple[type, ...]) -> bool:
    """Is it a list of nothing but ``instance_type``? An empty list is one of anything."""
    return isinstance(payload, list) and all(isinstance(each, instance_type) for each in payload)


def as_list(payload: Any) -> Iterator[Any]:
    """The elements of a list; anything else is one element."""
    yield from payload if isinstance(payload, list) else [payload]
