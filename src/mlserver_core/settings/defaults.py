"""Files whose settings lie below all others: what an image brings for whoever runs it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlserver_core.settings.sources import is_there

#: Names folders, the strongest first, with the system's separator of paths between them.
DEFAULTS_VARIABLE = "MLSERVER_DEFAULTS_DIRS"


def default_files(name: str, environ: Mapping[str, str]) -> list[Path]:
    """The files of that name in the folders with defaults, the weakest first."""
    return [file for folder in _folders(environ) if is_there(file := folder / name)]


def is_default(file: Path, environ: Mapping[str, str]) -> bool:
    """Does a file stand in a folder with defaults itself?"""
    return any(_real(file.parent) == _real(folder) for folder in _folders(environ))


def is_beside_defaults(file: Path, environ: Mapping[str, str]) -> bool:
    """Does a file stand anywhere in or below a folder with defaults?"""
    return any(_real(file.parent).is_relative_to(_real(folder)) for folder in _folders(environ))


def _folders(environ: Mapping[str, str]) -> list[Path]:
    names = environ.get(DEFAULTS_VARIABLE, "").split(os.pathsep)
    return [Path(name) for name in reversed(names) if name]


def _real(folder: Path) -> Path:
    # Not by resolve(), which before Python 3.13 has RuntimeError for a loop of links.
    return Path(os.path.realpath(folder))
