"""Settings out of their sources: precedence, and every problem at once."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from mlserver_core.errors import SettingsError
from mlserver_core.settings.fields import Effect, effect_of, kinds_of
from mlserver_core.settings.model import ModelParameters, ModelSettings
from mlserver_core.settings.server import Settings
from mlserver_core.settings.sources import (
    Source,
    from_variables,
    parse_text,
    read_dotenv,
    read_json,
)
from mlserver_core.settings.unknown_keys import SERVER_PREFIX, find_unknown
from mlserver_core.types.converter import converter, explain
from mlserver_core.types.open_names import OpenNames

T = TypeVar("T")

MODEL_PREFIX = "MLSERVER_MODEL_"


@attrs.frozen
class Loaded(typing.Generic[T]):
    """Settings, and what their author should know although they can be used.

    Attributes:
        value: the settings.
        warnings: one sentence each.
    """

    value: T
    warnings: tuple[str, ...]


def load_settings(
    folder: Path,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, str] | None = None,
    dotenv: Path | None = None,
    strict: bool = False,
) -> Loaded[Settings]:
    """The server's settings: command line > environment > settings.json > .env > default.

    Args:
        folder: holds ``settings.json``, if there is one; becomes ``model_repository_root``.
        environ: the environment.
        overrides: field names and texts from the command line.
        dotenv: path of a ``.env`` file; it need not exist.
        strict: an unknown key is an error instead of a warning.

    Raises:
        SettingsError: lists every problem with its place.
    """
    path = folder / "settings.json"
    kinds = kinds_of(Settings)
    from_command_line = {
        name: parse_text(text, kinds.get(name, str)) for name, text in (overrides or {}).items()
    }
    sources = [
        from_variables(".env", read_dotenv(dotenv) if dotenv else {}, SERVER_PREFIX, Settings),
        Source(name=str(path), values=read_json(path) if path.exists() else {}),
        from_variables("environment", environ, SERVER_PREFIX, Settings),
        Source(name="command line", values=from_command_line),
    ]
    loaded = _merge(Settings, sources, strict=strict)
    overruled = [source for source in sources if "model_repository_root" in source.values]
    loaded.value.model_repository_root = str(folder)
    return attrs.evolve(
        loaded,
        warnings=loaded.warnings
        + tuple(
            source.where("model_repository_root") + ": the folder that was given to start is served"
            for source in overruled
        ),
    )


def load_model_settings(
    path: Path,
    environ: Mapping[str, str],
    *,
    dotenv: Path | None = None,
    strict: bool = False,
) -> Loaded[ModelSettings]:
    """A model's settings: its file > environment > .env > default.

    Args:
        path: the ``model-settings.json``.
        environ: the environment.
        dotenv: path of a ``.env`` file; it need not exist.
        strict: an unknown key is an error instead of a warning.

    Raises:
        SettingsError: lists every problem with its place.
    """
    values = read_json(path)
    loaded = _load_model(Source(name=str(path), values=values), environ, dotenv, strict=strict)
    model = loaded.value
    model.source = path.absolute()  # not resolved: the model is where its link stands
    try:
        model.name = model.name or model.source.parent.name
    except ValueError as error:  # the folder's name is no name for a model
        raise SettingsError((f"{path}: name: {error}",)) from None
    if model.parameters is None:
        model.parameters = ModelParameters()
    if model.parameters.uri is None:
        model.parameters.uri = str(model.source.parent)
    return loaded


def load_implicit_model(
    environ: Mapping[str, str], *, dotenv: Path | None = None, strict: bool = False
) -> Loaded[ModelSettings] | None:
    """The one model that ``MLSERVER_MODEL_*`` describes where there is no settings file.

    Returns:
        None when ``MLSERVER_MODEL_IMPLEMENTATION`` is not set.

    Raises:
        SettingsError: lists every problem with its place.
    """
    variables = (read_dotenv(dotenv) if dotenv else {}) | dict(environ)
    if not any(name.upper() == MODEL_PREFIX + "IMPLEMENTATION" for name in variables):
        return None
    loaded = _load_model(Source(name="environment", values={}), environ, dotenv, strict=strict)
    loaded.value.name = loaded.value.name or "default"
    return loaded


def _load_model(
    file: Source, environ: Mapping[str, str], dotenv: Path | None, *, strict: bool
) -> Loaded[ModelSettings]:
    places = {".env": read_dotenv(dotenv) if dotenv else {}, "environment": environ}
    sources = []
    for name, variables in places.items():
        inner = from_variables(name, variables, MODEL_PREFIX, ModelParameters)
        sources += [
            from_variables(name, variables, MODEL_PREFIX, ModelSettings),
            Source(
                name=name,
                values={"parameters": inner.values} if inner.values else {},
                keys={f"parameters.{field}": key for field, key in inner.keys.items()},
            ),
        ]
    return _merge(ModelSettings, [*sources, file], strict=strict)


def _merge(cls: type[T], sources: Sequence[Source], *, strict: bool) -> Loaded[T]:
    """Later sources win; a bad value is reported wherever it stands, overridden or not."""
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
        sources[-1].where(name) + ": required, but missing"
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
