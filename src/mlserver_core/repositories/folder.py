"""The repository that is a folder with ``model-settings.json`` files in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from mlserver_core.errors import SettingsError, named
from mlserver_core.repositories.interfaces import Listing
from mlserver_core.settings import ModelSettings
from mlserver_core.settings.loading import load_implicit_model, load_model_settings

SETTINGS_FILE = "model-settings.json"


@attrs.define(kw_only=True)
class FolderRepository:
    """Finds ``model-settings.json`` at any depth below a folder, hidden folders left out.

    Attributes:
        root: the folder.
        environ: fills in what the files leave out (``MLSERVER_MODEL_*``); where there is no
            file at all, it may describe one model.
        dotenv: a ``.env`` file, below the environment; it need not exist.
        strict: an unknown key is an error.
    """

    root: Path
    environ: Mapping[str, str]
    dotenv: Path | None = None
    strict: bool = False

    def list(self) -> Listing:
        """The models found, in order of their paths.

        Raises:
            SettingsError: names every file and key that cannot be used.
        """
        models: dict[tuple[str, str | None], ModelSettings] = {}
        warnings: list[str] = []
        problems: list[str] = []
        for path in find_settings(self.root):
            try:
                loaded = load_model_settings(
                    path, self.environ, dotenv=self.dotenv, strict=self.strict
                )
            except SettingsError as error:
                problems += error.problems
                continue
            model = loaded.value
            warnings += loaded.warnings
            other = models.setdefault((model.name, model.version), model)
            if other is not model:
                problems.append(
                    f"{path}: model {named(model.name, model.version)} is also "
                    f"described by {other.source}; give one of them another name or version"
                )
        if problems:
            raise SettingsError(tuple(problems))
        if not models:
            implicit = load_implicit_model(self.environ, dotenv=self.dotenv, strict=self.strict)
            if implicit is not None:
                return Listing((implicit.value,), implicit.warnings)
        return Listing(tuple(models.values()), tuple(warnings))


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
