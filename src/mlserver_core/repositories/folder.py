"""The repository that is a folder with ``model-settings.json`` files in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from mlserver_core.errors import SettingsError, named
from mlserver_core.repositories.interfaces import Listing, Unreadable
from mlserver_core.settings import ModelSettings
from mlserver_core.settings.fields import is_name
from mlserver_core.settings.loading import (
    MODEL_FILE,
    load_implicit_model,
    load_model_settings,
)
from mlserver_core.settings.merging import Loaded
from mlserver_core.settings.sources import read_json

SETTINGS_FILE = MODEL_FILE


@attrs.define(kw_only=True)
class FolderRepository:
    """Finds ``model-settings.json`` at any depth below a folder, hidden folders left out.

    Attributes:
        root: the folder.
        environ: fills in what the files leave out (``MLSERVER_MODEL_*``); where there is no
            file at all, it may describe one model, or name a folder that does
            (``MLSERVER_DEFAULTS_DIRS``).
        dotenv: a ``.env`` file, below the environment; it need not exist.
        strict: an unknown key is an error.
    """

    root: Path
    environ: Mapping[str, str]
    dotenv: Path | None = None
    strict: bool = False

    async def list(self) -> Listing:
        """The models found, in order of their paths; the folder is read in a thread."""
        return await asyncio.to_thread(self.read)

    async def find(self, name: str) -> Listing:
        """The versions of one model."""
        return (await self.list()).of(name)

    def read(self) -> Listing:
        """As ``list``, for code that is not ``async``."""
        models: dict[tuple[str, str | None], ModelSettings] = {}
        warnings: list[str] = []
        unreadable: list[Unreadable] = []
        paths = list(find_settings(self.root))
        for path in paths:
            try:
                loaded = self._read_model(path, models)
            except SettingsError as error:
                unreadable.append(Unreadable(_name_in(path), error.problems))
                continue
            warnings += loaded.warnings
            models[loaded.value.name, loaded.value.version] = loaded.value
        if not paths:
            implicit = load_implicit_model(
                self.root, self.environ, dotenv=self.dotenv, strict=self.strict
            )
            if implicit is not None:
                return Listing((implicit.value,), implicit.warnings)
        return Listing(tuple(models.values()), tuple(warnings), tuple(unreadable))

    def _read_model(
        self, path: Path, others: Mapping[tuple[str, str | None], ModelSettings]
    ) -> Loaded[ModelSettings]:
        loaded = load_model_settings(path, self.environ, dotenv=self.dotenv, strict=self.strict)
        key = loaded.value.name, loaded.value.version
        if key in others:
            problem = (
                f"{path}: model {named(*key)} is also described by "
                f"{others[key].source}; give one of them another name or version"
            )
            raise SettingsError((problem,))
        return loaded


def _name_in(path: Path) -> str:
    """The name that settings which cannot be used would give their model."""
    try:
        name = read_json(path).get("name")
    except SettingsError:
        name = None
    return name if name and isinstance(name, str) and is_name(name) else path.absolute().parent.name


def find_settings(root: Path) -> Iterator[Path]:
    """The paths of all ``model-settings.json`` below ``root``, sorted.

    Links are followed, because Kubernetes mounts files as links; a folder that was seen
    already is not entered again.
    """
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if SETTINGS_FILE in files:
            found.append(Path(folder, SETTINGS_FILE))
    yield from sorted(found)
