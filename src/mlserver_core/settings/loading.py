"""Settings out of their sources, and which of them wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mlserver_core.errors import SettingsError
from mlserver_core.settings.defaults import default_files, is_beside_defaults, is_default
from mlserver_core.settings.fields import kinds_of
from mlserver_core.settings.merging import Loaded, merge
from mlserver_core.settings.model import ModelParameters, ModelSettings
from mlserver_core.settings.server import Settings
from mlserver_core.settings.sources import (
    Source,
    from_variables,
    is_there,
    parse_text,
    read_dotenv,
    read_json,
)
from mlserver_core.settings.unknown_keys import SERVER_PREFIX

MODEL_PREFIX = "MLSERVER_MODEL_"
SERVER_FILE, MODEL_FILE = "settings.json", "model-settings.json"
#: What says which model it is, and so is nothing that many could have from one file.
_IDENTITY = ("name", "uri", "version")
#: Parameters that are paths, which begin at the folder of their file.
_PATHS = ("environment_path", "environment_tarball")


def load_settings(
    folder: Path,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, str] | None = None,
    dotenv: Path | None = None,
    strict: bool = False,
) -> Loaded[Settings]:
    """The server's settings: command line > environment > settings.json > .env > default.

    The ``settings.json`` and ``.env`` of the folders that ``MLSERVER_DEFAULTS_DIRS`` names come
    right below the other of their name.

    Args:
        folder: holds ``settings.json``, if there is one; becomes ``model_repository_root``.
        environ: the environment.
        overrides: field names and texts from the command line.
        dotenv: path of a ``.env`` file; it need not exist.
        strict: an unknown key is an error instead of a warning.

    Raises:
        SettingsError: lists every problem with its place.
    """
    path = folder / SERVER_FILE
    files = default_files(SERVER_FILE, environ)
    if is_there(path) and not is_default(path, environ):
        files.append(path)
    kinds = kinds_of(Settings)
    from_command_line = {
        name: parse_text(text, kinds.get(name, str)) for name, text in (overrides or {}).items()
    }
    sources = [
        *(from_variables(*each, SERVER_PREFIX, Settings) for each in _dotenvs(environ, dotenv)),
        *(Source(name=str(each), values=read_json(each)) for each in files),
        from_variables("environment", environ, SERVER_PREFIX, Settings),
        Source(name="command line", values=from_command_line),
    ]
    loaded = merge(Settings, sources, strict=strict)
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

    A ``model-settings.json`` in a folder that ``MLSERVER_DEFAULTS_DIRS`` names lies below the
    environment: it describes a model, and gives defaults to those that stand elsewhere.

    Args:
        path: the ``model-settings.json``.
        environ: the environment.
        dotenv: path of a ``.env`` file; it need not exist.
        strict: an unknown key is an error instead of a warning.

    Raises:
        SettingsError: lists every problem with its place.
    """
    return _load_file(path, path.parent, environ, dotenv, strict=strict)


def load_implicit_model(
    root: Path, environ: Mapping[str, str], *, dotenv: Path | None = None, strict: bool = False
) -> Loaded[ModelSettings] | None:
    """The one model that is served where there is no settings file: the one of the defaults, or
    that which ``MLSERVER_MODEL_*`` describes.

    Args:
        root: what is served; the artifact is there where the defaults name none.
        environ: the environment.
        dotenv: path of a ``.env`` file; it need not exist.
        strict: an unknown key is an error instead of a warning.

    Returns:
        None when there is no such file and ``MLSERVER_MODEL_IMPLEMENTATION`` is not set.

    Raises:
        SettingsError: lists every problem with its place.
    """
    defaults = default_files(MODEL_FILE, environ)
    if defaults:
        return _load_file(defaults[-1], root, environ, dotenv, strict=strict)
    variables = [*_dotenvs(environ, dotenv), ("environment", environ)]
    names = {name.upper() for _, each in variables for name in each}
    if MODEL_PREFIX + "IMPLEMENTATION" not in names:
        return None
    loaded = merge(ModelSettings, _model_variables(variables), strict=strict)
    loaded.value.name = loaded.value.name or "default"
    return loaded


def _load_file(
    path: Path, artifact: Path, environ: Mapping[str, str], dotenv: Path | None, *, strict: bool
) -> Loaded[ModelSettings]:
    file = Source(name=str(path), values=read_json(path))
    variables = _model_variables([("environment", environ)])
    if is_default(path, environ):
        upper = [file, *variables]
    else:
        upper = [*_model_defaults(path, environ), *variables, file]
    lower = _model_variables(_dotenvs(environ, dotenv))
    loaded = merge(ModelSettings, lower + upper, strict=strict, place=file)
    model = loaded.value
    model.source = path.absolute()  # not resolved: the model is where its link stands
    try:
        model.name = model.name or model.source.parent.name
    except ValueError as error:  # the folder's name is no name for a model
        raise SettingsError((f"{path}: name: {error}",)) from None
    if model.parameters is None:
        model.parameters = ModelParameters()
    if model.parameters.uri is None:
        model.parameters.uri = str(artifact.absolute())
    return loaded


def _dotenvs(
    environ: Mapping[str, str], dotenv: Path | None
) -> list[tuple[str, Mapping[str, str]]]:
    """The variables of each ``.env`` file, with the file's name; the weakest first."""
    files = [(str(file), file) for file in default_files(".env", environ)]
    if dotenv is not None and not is_default(dotenv, environ):
        files.append((".env", dotenv))
    return [(name, read_dotenv(file)) for name, file in files]


def _model_variables(places: Sequence[tuple[str, Mapping[str, str]]]) -> list[Source]:
    sources = []
    for name, variables in places:
        inner = from_variables(name, variables, MODEL_PREFIX, ModelParameters)
        sources += [
            from_variables(name, variables, MODEL_PREFIX, ModelSettings),
            Source(
                name=name,
                values={"parameters": inner.values} if inner.values else {},
                keys={f"parameters.{field}": key for field, key in inner.keys.items()},
            ),
        ]
    return sources


def _model_defaults(path: Path, environ: Mapping[str, str]) -> list[Source]:
    """What the models of the defaults have for one that stands elsewhere."""
    if is_beside_defaults(path, environ):
        return []
    sources = []
    for file in default_files(MODEL_FILE, environ):
        values = read_json(file)
        if isinstance(values.get("parameters"), dict):
            values["parameters"] = _from_folder(
                file.parent.absolute(), _without_identity(values["parameters"])
            )
        sources.append(Source(name=str(file), values=_without_identity(values)))
    return sources


def _without_identity(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _IDENTITY}


def _from_folder(folder: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that mean the same in the settings of any other folder."""
    return {
        name: str(folder / value)
        if name in _PATHS
        and isinstance(value, str)
        and value
        and not value.startswith(("~", "$"))  # begins elsewhere when it is expanded
        else value
        for name, value in parameters.items()
    }
