"""Keys and variables that are no settings, and what their author may have meant."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from mlserver_core.settings.fields import kinds_of
from mlserver_core.settings.model import ModelParameters, ModelSettings
from mlserver_core.settings.server import Settings
from mlserver_core.settings.sources import Source
from mlserver_core.types.open_names import OpenNames

SERVER_PREFIX = "MLSERVER_"
#: Variables with our prefix that are no settings: of plugins, images and other commands.
_OTHER_VARIABLES = re.compile(
    "MLSERVER_(BLOCK_PLUGINS|TRACE_PLUGINS|DEFAULTS_DIRS|MODELS_DIR|ENV_TARBALL|PATH|BASE_IMAGE|"
    "BUILDER|INFER_.*)"
)
#: Keys that documentation of MLServer uses although it never read them.
_KNOWN_SLIPS = {"model": "name"}


def find_unknown(cls: type, source: Source) -> Iterator[str]:
    """A sentence for each key and variable that is no setting, with the nearest one that is, or
    the place where it belongs.

    Args:
        cls: the settings.
        source: where they come from.
    """
    fields = _names(cls)
    for variable in source.unknown:
        if cls is Settings and not _OTHER_VARIABLES.fullmatch(variable.upper()):
            key = variable.upper().removeprefix(SERVER_PREFIX).lower()
            if key.startswith("model_") and not _is_near_miss(key, fields):
                continue
            hint = _hint(key, _variables(fields), lambda name: SERVER_PREFIX + name.upper())
            yield f"{source.name}: unknown variable {variable}{hint}"
    for path, key, names in _unknown_keys(cls, source.values, ""):
        hint = ("" if path else _belongs(cls, key)) or _hint(key, names)
        yield f"{source.name}: {path}{key}: unknown key{hint}"


def _belongs(cls: type, key: str) -> str:
    """Where a key at the top of a file has its place instead; empty where nobody knows it."""
    if key in _names(ModelParameters):
        if cls is ModelSettings:
            return f"; did you mean 'parameters.{key}'?"
        return "; it belongs in a model-settings.json, below 'parameters'"
    if key in _names(ModelSettings):
        return "; it belongs in a model-settings.json"
    return "; it belongs in settings.json" if key in _names(Settings) else ""


def _names(cls: type) -> list[str]:
    """The settings of a class."""
    return [field.name for field in attrs.fields(cls) if "help" in field.metadata]


def _variables(fields: list[str]) -> list[str]:
    """What may follow ``MLSERVER_``: the server's settings, and after ``MODEL_`` a model's."""
    both = [*_names(ModelSettings), *_names(ModelParameters)]
    return [*fields, *(f"model_{name}" for name in both)]


def _is_near_miss(key: str, fields: list[str]) -> bool:
    """Is this ``model_...`` nearly a setting? Else it is one of a model, or of some runtime."""
    known = _variables(fields)
    return key not in known and bool(difflib.get_close_matches(key, known, 1, 0.85))


def _unknown_keys(cls: Any, value: Any, path: str) -> Iterator[tuple[str, str, list[str]]]:
    """Keys that no field has, here and in the objects below; open objects take any key."""
    if not isinstance(value, dict):
        return
    kinds = kinds_of(cls)
    names = [field.name for field in attrs.fields(cls)]
    if cls is ModelSettings:
        names = [name for name in names if name not in ("source", "policy")]
    for key, inner in value.items():
        if key not in names:
            yield path, key, names
            continue
        for option in [kinds[key], *typing.get_args(kinds[key])]:
            if not attrs.has(option) or issubclass(option, OpenNames):
                continue
            items = enumerate(inner) if isinstance(inner, list) else [(None, inner)]
            for index, item in items:
                below = f"{path}{key}." if index is None else f"{path}{key}[{index}]."
                yield from _unknown_keys(option, item, below)


def _hint(key: str, names: Sequence[str], spell: Callable[[str], str] = str) -> str:
    nearest = _KNOWN_SLIPS.get(key) or next(iter(difflib.get_close_matches(key, names, 1)), None)
    return f"; did you mean {spell(nearest)!r}?" if nearest else ""
