"""What the folder of an image has that its Dockerfile depends on."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import attrs

from mlserver_core.cli.images.ignored import IGNORE_FILES
from mlserver_core.errors import SettingsError
from mlserver_core.settings.loading import MODEL_FILE, SERVER_FILE
from mlserver_core.settings.sources import read_json

_CONDA_FILES = ("environment.yaml", "environment.yml", "conda.yaml", "conda.yml")
_REQUIREMENTS = "requirements.txt"
#: In a requirement of pip, or a list of them: a file, as an option's value, as a path, or by its
#: ending.
_FILE = re.compile(
    r"""(?:^|[\s\[,])["']?(?:
        (?:-[rcef]|--req\w*|--constraint|--editable|--find-links)[\s=]*[^\s=]
        | \.\.?(?:[/\\\[]|\s|$)
        | [^\s;]*[/\\]
        | \S+\.(?:whl|zip|egg|tgz|tbz|txz|tar(?:\.\w+)?)(?:[\s;\["']|$)
    )""",
    re.VERBOSE,
)
#: The key of them in a conda environment, which YAML lets be quoted.
_PIP = re.compile(r"""\bpip["']?\s*:""")


class UnusableFolder(Exception):
    """No image can be made of a folder; says why."""


@attrs.frozen(kw_only=True)
class Contents:
    """What a folder asks of its image.

    Attributes:
        conda: the name of its conda environment file.
        local_conda: does that name other files of the folder, for pip?
        requirements: the name of its file with requirements of pip.
        local_requirements: do those name other files of the folder?
    """

    conda: str | None = None
    local_conda: bool = False
    requirements: str | None = None
    local_requirements: bool = False


def read_contents(folder: Path) -> Contents:
    """Looks into a folder.

    Raises:
        UnusableFolder: it has two conda environments, or a file that cannot be read or used.
    """
    conda = [name for name in _CONDA_FILES if _is_there(folder, name)]
    if len(conda) > 1:
        raise UnusableFolder(
            f"{folder}: {' and '.join(conda)} both describe a conda environment; keep one of them"
        )
    _check_model(folder)
    for name in (SERVER_FILE, *IGNORE_FILES):
        _is_there(folder, name)  # or refused: without it the image would be another one
    requirements = _REQUIREMENTS if _is_there(folder, _REQUIREMENTS) else None
    return Contents(
        conda=conda[0] if conda else None,
        local_conda=bool(conda) and _names_file(_pip_section(_read(folder / conda[0]))),
        requirements=requirements,
        local_requirements=bool(requirements) and _names_file(_read(folder / _REQUIREMENTS)),
    )


def _is_there(folder: Path, name: str) -> bool:
    """Is it a file that builders will find, too?"""
    file = folder / name
    try:
        if file.is_symlink():
            _check_link(folder, file)
        return stat.S_ISREG(file.stat().st_mode)
    except FileNotFoundError:
        return False
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise UnusableFolder(f"{file}: cannot be read: {_reason(error)}") from None


def _check_link(folder: Path, link: Path) -> None:
    if not link.resolve().is_relative_to(folder.resolve()):
        raise UnusableFolder(
            f"{link}: leads out of the folder, and builders see nothing outside; "
            "put the file itself there"
        )
    if link.readlink().is_absolute():
        raise UnusableFolder(
            f"{link}: is a link to an absolute path, which builders look for within the folder; "
            "make it a relative one"
        )


def _pip_section(environment: str) -> str:
    """What a conda environment leaves to pip: no more of it can be in the folder."""
    _, *after = _PIP.split(environment, maxsplit=1)
    return re.split(r"\n(?=\w)", "".join(after))[0]


def _names_file(requirements: str) -> bool:
    """Do requirements of pip name another file of the folder?"""
    text = re.sub(r"(?m)(?:^|\s)#.*$", "", requirements)
    text = re.sub(r"\\\r?\n", " ", text)  # such lines go on in the next
    return any(map(_line_names_file, text.splitlines()))


def _line_names_file(line: str) -> bool:
    return "file:" in line or bool(_FILE.search(re.sub(r"\S*://\S*", "", line)))


def _check_model(folder: Path) -> None:
    """Raises UnusableFolder for settings at the root that no server could read."""
    if _is_there(folder, MODEL_FILE):
        try:
            read_json(folder / MODEL_FILE)
        except SettingsError as error:
            raise UnusableFolder(str(error)) from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnusableFolder(f"{file}: cannot be read: {_reason(error)}") from None
    except UnicodeDecodeError:
        raise UnusableFolder(f"{file}: is no text in UTF-8") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
