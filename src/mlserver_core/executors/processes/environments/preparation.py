"""What is left to do when the files of an environment are there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlserver_core.executors.processes.environments.faults import UnusableEnvironment
from mlserver_core.executors.processes.environments.packages import versions_of
from mlserver_core.executors.processes.environments.programs import run_program, run_python

#: The links of a virtual environment to its interpreter, and what they lead to.
_LINK = re.compile(r"bin/python(\d(\.\d+)?t?)?")
_INTERPRETER = re.compile(r"python(\d(\.\d+)?t?)?")
_HOME = re.compile(r"^home\s*=.*$", re.MULTILINE)
#: What starts a Python may be a script that chooses one, by the name that it is called by.
_QUESTION = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
#: Seconds in which a Python says its version, and where it is.
_SOON = 30.0
#: Seconds in which conda-unpack writes the environment's place into its files.
_UNPACK = 900.0


def prepare(
    folder: Path, outside: Mapping[str, str], descriptor: int, abandoned: threading.Event
) -> None:
    """Makes an unpacked environment one that runs where it is.

    Args:
        folder: of the environment.
        outside: links out of it, by their names, that were not made.
        descriptor: stays open in programs that are still at it when this process is gone.
        abandoned: is set when nobody waits for this any more.

    Raises:
        UnusableEnvironment: it cannot be.
        Abandoned: somebody has set ``abandoned``.
    """
    if outside:
        _link_interpreter(folder, outside, abandoned)
    unpack = folder / "bin" / "conda-unpack"
    if unpack.is_file():
        run_python(
            folder,
            ["-E", "-s", str(unpack)],
            seconds=_UNPACK,
            abandoned=abandoned,
            descriptors=(descriptor,),
        )


def _link_interpreter(folder: Path, outside: Mapping[str, str], abandoned: threading.Event) -> None:
    """Links a virtual environment to the Python of this machine that is like its own."""
    for name, target in outside.items():
        top, _, inside = name.partition("/")
        if _LINK.fullmatch(inside):
            raise UnusableEnvironment(
                f"the environment is in a folder of its own in it, {top!r}; pack it with "
                "conda-pack or venv-pack"
            )
        if not (_LINK.fullmatch(name) and _INTERPRETER.fullmatch(Path(target).name)):
            raise UnusableEnvironment(
                f"it is refused: {name!r} in it is a link to {target!r}, out of the environment"
            )
    versions = versions_of(folder)
    if not versions:
        raise UnusableEnvironment("it has no lib/python3.X folder: it is no environment of Python")
    wanted = versions[0]
    recorded = next(iter(outside.values()))
    for candidate in _candidates(recorded, wanted):
        version, python = _ask(candidate, abandoned)
        if version == wanted:
            break
    else:
        raise UnusableEnvironment(
            f"it was packed without its interpreter, {recorded!r}, and there is no Python "
            f"{wanted} on this machine: install that, or pack an environment of conda with "
            "conda-pack, which brings its own"
        )
    _note_home(folder, python)
    # Last: until they are there, no link in the folder leads out of it.
    for name in outside:
        (folder / name).symlink_to(python)


def _note_home(folder: Path, python: Path) -> None:
    settings = folder / "pyvenv.cfg"
    if settings.is_file():
        text = settings.read_text("utf-8", "surrogateescape")
        home = f"home = {python.parent}"
        settings.write_text(_HOME.sub(lambda _: home, text), "utf-8", "surrogateescape")


def _candidates(recorded: str, wanted: str) -> Iterator[Path]:
    """Interpreters that may be the right one, the likeliest first."""
    yield Path(recorded)
    yield Path(sys.base_prefix) / "bin" / f"python{wanted}"
    found = shutil.which(f"python{wanted}")
    if found:
        yield Path(found)


def _ask(python: Path, abandoned: threading.Event) -> tuple[str, Path]:
    """The version of what a program starts, and its place; an empty version where it is none."""
    try:
        command = [str(python), "-I", "-c", _QUESTION]
        done = run_program(command, seconds=_SOON, abandoned=abandoned)
    except (OSError, subprocess.TimeoutExpired):
        return "", python
    version, _, place = os.fsdecode(done.stdout).rstrip("\n").partition(" ")
    return version, Path(place)
