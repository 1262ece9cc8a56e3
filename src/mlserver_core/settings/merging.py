"""Settings of several sources laid over each other, and all that is wrong with them at once."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import attrs

from mlserver_core.errors import SettingsError
from mlserver_core.settings.fields import Effect, effect_of, kinds_of
from mlserver_core.settings.model import ModelParameters
from mlserver_core.settings.sources import Source
from mlserver_core.settings.unknown_keys import find_unknown
from mlserver_core.types.converter import converter, explain
from mlserver_core.types.open_names import OpenNames

T = TypeVar("T")


@attrs.frozen
class Loaded(typing.Generic[T]):
    """Settings, and what their author should know although they can be used.

    Attributes:
        value: the settings.
        warnings: one sentence each.
    """

    value: T
    warnings: tuple[str, ...]


def merge(
    cls: type[T], sources: Sequence[Source], *, strict: bool, place: Source | None = None
) -> Loaded[T]:
    """The settings that sources make together; of two values the later source's wins.

    Args:
        cls: the settings.
        sources: the weakest first.
        strict: an unknown key is an error instead of a warning.
        place: where what is missing belongs; None for the last source.

    Raises:
        SettingsError: lists every problem, of values that were overridden too.
    """
    kinds = kinds_of(cls)  # type: ignore[arg-type]
    fields: dict[str, attrs.Attribute[Any]] = attrs.fields_dict(cls)  # type: ignore[arg-type]
    plain: dict[str, Any] = {}
    values: dict[str, Any] = {}
    problems: list[str] = []
    warnings: list[str] = []
    unknown: list[str] = []
    for source in sources:
        for name, value in source.values.items():
            if name not in fields or "help" not in fields[name].metadata:
                continue
            found = _problems(value, kinds[name], fields[name])
            problems += [f"{source.where(name, path)}: {text}" for path, text in found]
            if not found:
                plain[name] = _layer(kinds[name], plain.get(name), value)
                values[name] = converter().structure(plain[name], kinds[name])
                warnings += _no_effect(source, fields[name], value)
        (problems if strict else unknown).extend(find_unknown(cls, source))
    given = {name for source in sources for name in source.values}
    problems += [
        (place or sources[-1]).where(name) + ": required, but missing"
        for name, field in fields.items()
        if field.default is attrs.NOTHING and name not in given
    ]
    if problems:
        raise SettingsError(tuple(problems + unknown))  # a misspelt key may be the missing one
    return Loaded(cls(**values), tuple(warnings + unknown))


def _layer(kind: Any, below: Any, value: Any) -> Any:
    """``value``; objects that take any name are laid over what is ``below``, key by key."""
    kinds = typing.get_args(kind)
    if below and value and any(attrs.has(each) and issubclass(each, OpenNames) for each in kinds):
        return below | value
    return value


def _problems(value: Any, kind: Any, field: attrs.Attribute[Any]) -> list[tuple[str, str]]:
    """What is wrong with a value: the path below the field, and what was expected there."""
    found = explain(value, kind)
    if field.name == "parameters" and [path for path, _ in found] == [""]:
        found = _refused_parameters(value) or found
    if not found and field.validator is not None:
        try:
            field.validator(None, field, value)
        except ValueError as error:
            found = [("", str(error))]
    return found


def _refused_parameters(value: Any) -> list[tuple[str, str]]:
    """What validators say of ``parameters``, by name: the object itself has no place for it."""
    kinds = kinds_of(ModelParameters)
    fields = attrs.fields_dict(ModelParameters)
    known = [name for name in value if name in fields] if isinstance(value, dict) else []
    return [
        (name, text)
        for name in known
        for _, text in _problems(value[name], kinds[name], fields[name])
    ]


def _no_effect(source: Source, field: attrs.Attribute[Any], value: Any) -> Iterator[str]:
    nothing_new = value in (_default(field), field.metadata["as_is"])
    if effect_of(field) is Effect.LATER and not nothing_new:
        yield source.where(field.name) + ": has no effect yet in this version"


def _default(field: attrs.Attribute[Any]) -> Any:
    factory = getattr(field.default, "factory", None)
    return factory() if factory else field.default
