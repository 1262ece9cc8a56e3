"""What a type hint says, so that codecs and values can be compared with it."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin

import numpy as np

_NONE = type(None)


def without_alias(hint: Any) -> Any:
    """What a hint stands for that was made by a ``type`` statement (PEP 695), such as
    ``numpy.typing.NDArray[...]`` from Python 3.12 on; any other hint as it is.
    """
    found = get_origin(hint) or hint
    return without_alias(found.__value__) if hasattr(found, "__value__") else hint


def is_union(hint: Any) -> bool:
    """Is it ``X | Y``, ``Union`` or ``Optional``?"""
    return get_origin(hint) in (Union, types.UnionType)


def without_none(hint: Any) -> tuple[Any, bool]:
    """``Optional[X]`` or ``X | None`` as X and True; any other hint and False.

    ``X | Y | None`` is ``X | Y`` and True.
    """
    hint = without_alias(hint)
    if not is_union(hint) or _NONE not in get_args(hint):
        return hint, False
    return Union[tuple(each for each in get_args(hint) if each is not _NONE)], True  # noqa: UP007


def holds(payload: Any, hint: Any) -> bool:
    """Is ``payload`` a value of ``hint``? An empty list is a value of every list hint."""
    hint = without_alias(hint)
    if is_union(hint):
        return any(holds(payload, each) for each in get_args(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list and arguments:
        return isinstance(payload, list) and all(holds(each, arguments[0]) for each in payload)
    kind = origin or hint
    return isinstance(kind, type) and isinstance(payload, kind)


def equal(one: Any, other: Any) -> bool:
    """Do two hints mean the same, such as ``List[str]`` and ``list[str]``?"""
    return _kinds(one) == _kinds(other) != frozenset()


def covers(wide: Any, narrow: Any) -> bool:
    """Is each value of ``narrow`` one of ``wide``? ``list[str | None]`` counts as ``list[str]``,
    and subclasses of ``numpy.ndarray`` as arrays.
    """
    kinds = _kinds(narrow)
    return bool(kinds) and all(
        any(_covers_kind(each, kind) for each in _kinds(wide)) for kind in kinds
    )


def _kinds(hint: Any) -> frozenset[Any]:
    """What a value may be, None left out: classes, and lists as the kinds of their elements."""
    hint = without_alias(hint)
    if is_union(hint):
        return frozenset().union(*map(_kinds, get_args(hint)))
    if hint is None or hint is _NONE:
        return frozenset()
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list and arguments:
        return frozenset({(list, _kinds(arguments[0]))})
    return frozenset({origin or hint})


def _covers_kind(wide: Any, narrow: Any) -> bool:
    if isinstance(wide, tuple) and isinstance(narrow, tuple):
        return bool(narrow[1]) and narrow[1] <= wide[1]
    if wide is np.ndarray and isinstance(narrow, type):
        return issubclass(narrow, np.ndarray)
    return bool(wide == narrow)
