"""Methods of a model that answer HTTP requests of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs

F = TypeVar("F", bound=Callable[..., Any])

#: Where a function keeps what was said of it.
_MARK = "__mlserver_custom_handlers__"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@attrs.frozen
class CustomHandler:
    """How a method of a model is reached over REST.

    Attributes:
        rest_path: the path, in which ``{name}`` stands for one segment and ``{name:path}``
            for any number of them.
        rest_method: the HTTP verb.
    """

    rest_path: str
    rest_method: str


def custom_handler(rest_path: str, rest_method: str = "POST") -> Callable[[F], F]:
    """Marks a method of a model, ``async def`` or plain ``def``, as an endpoint of its own.

    Args:
        rest_path: such as ``/explain`` or ``/items/{name}``.
        rest_method: the HTTP verb: GET, POST, PUT, PATCH or DELETE.

    Raises:
        ValueError: a path that does not begin with a slash, or another verb.
    """
    method = rest_method.upper()
    if not rest_path.startswith("/"):
        raise ValueError(f"custom handler {rest_path!r}: the path has to begin with '/'")
    if method not in _METHODS:
        raise ValueError(
            f"custom handler {rest_path!r}: expected one of {', '.join(sorted(_METHODS))} as "
            f"rest_method, got {rest_method!r}"
        )

    def mark(function: F) -> F:
        marks = (*getattr(function, _MARK, ()), CustomHandler(rest_path, method))
        setattr(function, _MARK, marks)
        return function

    return mark


def find_custom_handlers(model: object) -> Iterator[tuple[str, CustomHandler]]:
    """The name of each marked method of a model, with each of its marks."""
    for name, member in inspect.getmembers(type(model), callable):
        for mark in getattr(member, _MARK, ()):
            yield name, mark
