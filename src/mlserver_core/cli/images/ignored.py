"""Files that no image needs, by the names that tools give them."""

from __future__ import annotations

import fnmatch
from pathlib import Path

IGNORE_FILE = ".dockerignore"
#: What says the same in a folder. Podman and Buildah prefer the second, which Docker does not know.
IGNORE_FILES = (IGNORE_FILE, ".containerignore")

#: Names at any depth, as fnmatch knows patterns. Shared libraries and ``bin`` are not among them:
#: they may be the model's.
_NAMES = (
    *IGNORE_FILES,
    "Dockerfile",
    "Dockerfile.dockerignore",
    ".env",
    ".env.*",
    ".git",
    ".gitignore",
    ".hg",
    ".svn",
    ".venv",
    ".venv-*",
    ".envs",
    ".tox",
    ".nox",
    "__pycache__",
    "*.py[cod]",
    "*.egg-info",
    ".eggs",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".coverage",
    ".coverage.*",
    "htmlcov",
    ".DS_Store",
    ".idea",
    ".vscode",
)


def has_own_rules(folder: Path, builder: str) -> bool:
    """Does a folder say itself what that builder is to leave out?"""
    known = (IGNORE_FILE,) if builder == "docker" else IGNORE_FILES
    return any((folder / name).exists() for name in known)


def is_ignored(name: str) -> bool:
    """Does a file or folder of that name stay out of images?"""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _NAMES)


def ignore_text() -> str:
    """The same as a ``.dockerignore``."""
    return "".join(f"**/{pattern}\n" for pattern in _NAMES)
