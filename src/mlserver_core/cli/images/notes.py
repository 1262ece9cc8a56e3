"""What the author of a folder should know before it becomes an image."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from pathlib import Path

from mlserver_core.cli.images.ignored import IGNORE_FILES
from mlserver_core.repositories.folder import find_settings
from mlserver_core.settings.loading import MODEL_FILE
from mlserver_core.settings.sources import read_json

_SECRETS = ".env"


def find_notes(folder: Path) -> Iterator[str]:
    """A sentence for each thing that is allowed, but may not be meant.

    Args:
        folder: that ``read_contents`` has found usable.
    """
    root = folder / MODEL_FILE
    if next(find_settings(folder), None) is None:
        yield f"there is no {MODEL_FILE} in or below {folder}: the image serves what is mounted"
    elif root.is_file() and not read_json(root).get("name"):
        yield f"{root} gives the model no name: in the image it is called 'models', as its folder"
    if (folder / _SECRETS).is_file():
        yield from _secrets_notes(folder)


def _secrets_notes(folder: Path) -> Iterator[str]:
    own = [folder / name for name in IGNORE_FILES if (folder / name).is_file()]
    if not own:
        yield (
            f"{folder / _SECRETS} is left out of the image, since such files hold secrets; "
            "settings for the image belong in settings.json"
        )
    for file in own:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        patterns = [line.strip().removeprefix("**/").removeprefix("/") for line in lines]
        if not any(fnmatch.fnmatchcase(_SECRETS, pattern) for pattern in patterns):
            yield (
                f"{file} does not name {_SECRETS}, so that it becomes part of the image, with "
                "the secrets that it may hold"
            )
