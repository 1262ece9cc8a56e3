"""The files of Swagger UI, where the extra ``docs`` has installed them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_OURS = Path(__file__).parent / "static"
_OWN_FILES = ("docs.css", "docs.js")
_SWAGGER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")


def find_files() -> dict[str, Path]:
    """The files that the documentation pages may load, by name: our own and Swagger UI's.

    Swagger UI comes with the distribution ``flask-swagger-ui``, whose package is looked up
    and never imported, as it would import Flask.
    """
    files = {name: _OURS / name for name in _OWN_FILES}
    spec = importlib.util.find_spec("flask_swagger_ui")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        found = {name: Path(folder, "dist", name) for name in _SWAGGER_FILES}
        if all(path.is_file() for path in found.values()):
            files |= found
    return files


def is_interactive(files: dict[str, Path]) -> bool:
    """Is Swagger UI among the files?"""
    return set(_SWAGGER_FILES) <= set(files)
