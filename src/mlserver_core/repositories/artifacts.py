"""Where the artifact of a model is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlserver_core.errors import InvalidModelURI
from mlserver_core.settings import ModelSettings


async def get_model_uri(settings: ModelSettings, wellknown_filenames: Sequence[str] = ()) -> str:
    """The artifact that ``parameters.uri`` names.

    Args:
        settings: of the model. A relative ``uri`` starts at the folder of the settings file,
            or at the current folder where there is none.
        wellknown_filenames: where ``uri`` is a folder, the first of these in it is meant.

    Returns:
        The absolute path of a file or folder, or a URI of another scheme as it is.

    Raises:
        InvalidModelURI: no ``uri``, or nothing is there.
    """
    return find_artifact(settings, wellknown_filenames)


def find_artifact(settings: ModelSettings, wellknown_filenames: Sequence[str] = ()) -> str:
    """``get_model_uri`` for code that is not ``async``."""
    uri = settings.parameters.uri if settings.parameters else None
    if not uri:
        raise InvalidModelURI(settings.name, None)
    parsed = urlparse(uri)
    if parsed.scheme not in ("", "file"):
        return uri
    path = Path(unquote(parsed.path) if parsed.scheme == "file" else uri)
    path = (settings.folder or Path.cwd()) / path
    if path.is_file():
        return str(path)
    if path.is_dir():
        for name in wellknown_filenames:
            if (path / name).is_file():
                return str(path / name)
        return str(path)
    raise InvalidModelURI(settings.name, uri)
