"""What the folder of an image has that its Dockerfile depends on."""

from __future__ import annotations

import json
from pathlib import Path

import attrs

_CONDA_FILES = ("environment.yaml", "environment.yml", "conda.yaml", "conda.yml")
_REQUIREMENTS = "requirements.txt"
#: Options of pip that name a file.
_FILE_OPTIONS = ("-r", "-c", "-e", "-f", "--req", "--constraint", "--editable", "--find-links")


class UnusableFolder(Exception):
    """No image can be made of a folder; says why."""


@attrs.frozen(kw_only=True)
class Contents:
    """What a folder asks of its image.

    Attributes:
        conda: the name of its conda environment file.
        requirements: the name of its file with requirements of pip.
        local_requirements: do those name other files of the folder?
        notes: what its author should know, a sentence each.
    """

    conda: str | None = None
    requirements: str | None = None
    local_requirements: bool = False
    notes: tuple[str, ...] = ()


def read_contents(folder: Path) -> Contents:
    """Looks into a folder.

    Raises:
        UnusableFolder: it has two conda environments, or a file that cannot be read.
    """
    conda = [name for name in _CONDA_FILES if (folder / name).is_file()]
    if len(conda) > 1:
        raise UnusableFolder(
            f"{folder}: {' and '.join(conda)} both describe a conda environment; keep one of them"
        )
    has_requirements = (folder / _REQUIREMENTS).is_file()
    return Contents(
        conda=conda[0] if conda else None,
        requirements=_REQUIREMENTS if has_requirements else None,
        local_requirements=has_requirements and _are_local(_read(folder / _REQUIREMENTS)),
        notes=(*_model_notes(folder), *_dotenv_notes(folder)),
    )


def _are_local(requirements: str) -> bool:
    return any(map(_names_file, requirements.splitlines()))


def _names_file(line: str) -> bool:
    """Does a line of requirements name another file of the folder?"""
    text = line.partition(" #")[0].strip()
    if "file:" in text:
        return True
    if "://" in text:
        return False
    return text.startswith((".", *_FILE_OPTIONS)) or text.endswith((".whl", ".tar.gz", ".zip"))


def _model_notes(folder: Path) -> list[str]:
    file = folder / "model-settings.json"
    if not file.is_file():
        return []
    try:
        model = json.loads(_read(file))
    except ValueError as error:
        raise UnusableFolder(f"{file}: is not valid JSON: {error}") from None
    if isinstance(model, dict) and model.get("name"):
        return []
    return [f"{file} gives the model no name: in the image it is called 'models', as its folder"]


def _dotenv_notes(folder: Path) -> list[str]:
    if not (folder / ".env").is_file() or (folder / ".dockerignore").is_file():
        return []
    text = "is left out of the image, since such files hold secrets; settings for the image belong"
    return [f"{folder / '.env'} {text} in settings.json"]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableFolder(f"{file}: cannot be read: {error}") from None
