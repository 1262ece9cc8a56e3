"""Plain JSON data to attrs classes and back, with the path of everything that does not fit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter, transform_error
from cattrs.cols import list_structure_factory, mapping_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.strategies import use_class_methods

from mlserver_core.errors import InvalidRequest
from mlserver_core.types.open_names import OpenNames, known_names

T = TypeVar("T")

#: How many problems of one list are told.
_MOST_PROBLEMS = 20
#: What cattrs and our hooks raise for data that does not fit.
_MISFITS = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


def structure(value: Any, cls: type[T]) -> T:
    """Makes a ``cls`` of plain data (dicts, lists, scalars); unknown keys are ignored.

    A converter without bookkeeping goes first; only when it fails does the detailed one run
    to find every problem and its path.

    Raises:
        InvalidRequest: one sentence per problem, each with its path.
    """
    try:
        return converter().structure(value, cls)
    except _MISFITS:
        problems = explain(value, cls)
        raise InvalidRequest(
            "; ".join(": ".join(filter(None, each)) for each in problems)
        ) from None


def explain(value: Any, cls: Any) -> list[tuple[str, str]]:
    """Every reason why ``value`` is no ``cls``: its path, and what was expected there."""
    try:
        detailed_converter().structure(value, cls)
    except Exception as error:  # noqa: BLE001  # whatever a hook raised is reported
        return [_path_first(line) for line in transform_error(error, "$", _describe)]
    return []


def dump(value: Any, *, exclude_none: bool = True) -> Any:
    """Plain dicts, lists and scalars of an attrs instance; arrays become nested lists."""
    return _dump_converter(exclude_none=exclude_none).unstructure(value)


@functools.cache
def converter() -> Converter:
    """The fast converter; arrays stay arrays."""
    return make_converter(detailed=False)


@functools.cache
def detailed_converter() -> Converter:
    """The converter that knows where in the data it is."""
    return make_converter(detailed=True)


@functools.cache
def _dump_converter(*, exclude_none: bool) -> Converter:
    made = make_converter(detailed=False, omit_defaults=exclude_none)
    use_class_methods(made, None, "to_lists")
    return made


def make_converter(*, detailed: bool, omit_defaults: bool = True) -> Converter:
    """A cattrs converter that refuses what JSON would silently turn into something else."""
    made = Converter(detailed_validation=detailed)
    for scalar, expected in _SCALARS.items():
        made.register_structure_hook(scalar, _strict(scalar, expected))
    made.register_structure_hook_factory(attrs.has, lambda cls: _object_hook(cls, made))
    made.register_structure_hook_factory(_is_list, lambda cls: _list_hook(cls, made))
    made.register_structure_hook_factory(_is_dict, lambda cls: _dict_hook(cls, made))
    made.register_structure_hook_factory(_is_switch, lambda cls: _switch_hook(cls, made))
    made.register_unstructure_hook_factory(
        attrs.has,
        lambda cls: make_dict_unstructure_fn(cls, made, _cattrs_omit_if_default=omit_defaults),
    )
    use_class_methods(made, "from_plain", "to_plain")
    return made


_SCALARS: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
}


def _strict(scalar: type, expected: str) -> Callable[[Any, Any], Any]:
    allowed: tuple[type, ...] = (int, float) if scalar is float else (scalar,)

    def check(value: Any, cls: Any) -> Any:
        if cls is not scalar and issubclass(cls, Enum):  # cattrs takes it for the str it is too
            return _member(cls, value)
        if type(value) in allowed or (scalar is str and isinstance(value, str)):
            return value
        raise TypeError(f"expected {expected}, got {show(value)}")

    return check


def _is_list(cls: Any) -> bool:
    return get_origin(cls) is list


def _is_dict(cls: Any) -> bool:
    return cls is dict or get_origin(cls) is dict


def _member(cls: type[Enum], value: Any) -> Enum:
    try:
        return cls(value)
    except ValueError:
        known = ", ".join(member.value for member in cls)
        raise ValueError(f"expected one of {known}, got {show(value)}") from None


def _object_hook(cls: Any, made: Converter) -> Callable[[Any, Any], Any]:
    if not issubclass(cls, OpenNames):
        return _guard(make_dict_structure_fn(cls, made), Mapping, "an object")
    fill = make_dict_structure_fn(cls, made, model_extra=override(omit=True))
    known = frozenset(known_names(cls))

    def open_object(value: Any, _: Any) -> Any:
        filled = fill(value, cls)
        filled.model_extra.update((name, value[name]) for name in value if name not in known)
        return filled

    return _guard(open_object, Mapping, "an object")


def _list_hook(cls: Any, made: Converter) -> Callable[[Any, Any], Any]:
    inner = list_structure_factory(cls, made)
    if not made.detailed_validation:
        return _guard(inner, list, "a list")
    (item,) = get_args(cls)

    def first_problems(value: Any, kind: Any) -> Any:
        return inner(_cut(value, made.get_structure_hook(item), item), kind)

    return _guard(first_problems, list, "a list")


def _cut(values: list[Any], structure_item: Callable[[Any, Any], Any], item: Any) -> list[Any]:
    """The values up to the last problem that is told: explaining costs time and memory for each
    one, and a client may send millions.
    """
    problems = 0
    for index, value in enumerate(values):
        try:
            structure_item(value, item)
        except Exception:  # noqa: BLE001  # whatever a hook raises is a problem
            problems += 1
            if problems == _MOST_PROBLEMS:
                return values[: index + 1]
    return values


def _dict_hook(cls: Any, made: Converter) -> Callable[[Any, Any], Any]:
    return _guard(mapping_structure_factory(cls, made), Mapping, "an object")


def _is_switch(cls: Any) -> bool:
    """Is this ``bool | list[...]``?"""
    return {get_origin(each) or each for each in get_args(cls)} == {bool, list}


def _switch_hook(cls: Any, made: Converter) -> Callable[[Any, Any], Any]:
    [items] = (each for each in get_args(cls) if each is not bool)

    def check(value: Any, _: Any) -> Any:
        if isinstance(value, bool):
            return value
        if isinstance(value, list):
            return made.structure(value, items)
        raise TypeError(f"expected true, false or a list, got {show(value)}")

    return check


def _guard(
    inner: Callable[[Any, Any], Any], kind: type, expected: str
) -> Callable[[Any, Any], Any]:
    def check(value: Any, cls: Any) -> Any:
        if isinstance(value, kind):
            return inner(value, cls)
        raise TypeError(f"expected {expected}, got {show(value)}")

    return check


def show(value: Any) -> str:
    """``value`` as an error message may quote it: JSON's words, and never long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _describe(error: BaseException, _: Any) -> str:
    return "required, but missing" if isinstance(error, KeyError) else str(error)


def _path_first(line: str) -> tuple[str, str]:
    description, _, path = line.rpartition(" @ $")
    return path.lstrip("."), description
