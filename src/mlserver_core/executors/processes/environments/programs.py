"""Runs the Python of an environment for a moment, before anything is built on it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlserver_core.executors.processes.environments.binaries import platform_of, this_platform
from mlserver_core.executors.processes.environments.faults import Abandoned, UnusableEnvironment
from mlserver_core.executors.processes.interpreter import EnvironmentPython

#: Characters of what a program has said, in a message.
_LONGEST = 400
#: Seconds until a program is tried again that has just been written: while another thread starts a
#: process, that has for a moment what is open here, and who is written to cannot be run.
_PAUSES = (0.01, 0.1, 1.0)
#: Seconds between two looks whether somebody still waits for a program.
_LOOK = 0.1
#: What is behind an error of the system, where the program is there.
_REASONS = {
    errno.EACCES: "; it has to be executable, and so has what it lies on: not mounted noexec",
    errno.ENOENT: "; the loader that it names is not on this machine, which has another C library",
}


def run_python(
    folder: Path,
    arguments: Sequence[str],
    *,
    seconds: float,
    abandoned: threading.Event,
    descriptors: Sequence[int] = (),
) -> str:
    """What the Python of an environment prints.

    Args:
        folder: of the environment.
        arguments: for Python.
        seconds: that it may take.
        abandoned: is set when nobody waits for this any more.
        descriptors: that it is to keep open.

    Raises:
        UnusableEnvironment: it does not run here, or fails.
        Abandoned: somebody has set ``abandoned``.
    """
    python = folder / "bin" / "python"
    options = {
        "cwd": folder,
        "env": EnvironmentPython(folder=folder, identity="").environ(os.environ),
        "pass_fds": tuple(descriptors),
    }
    try:
        command = [str(python), *arguments]
        done = run_program(command, seconds=seconds, abandoned=abandoned, **options)
    except subprocess.TimeoutExpired:
        raise UnusableEnvironment(f"its Python gave no answer in {seconds:g} seconds") from None
    except OSError as error:
        raise UnusableEnvironment(_explain(folder, python, error)) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-_LONGEST:]
        code = done.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise UnusableEnvironment(
            f"its Python {how}{_made_for(python)}: {said or 'it said nothing'}"
        )
    return done.stdout.decode("utf-8", "replace")


def run_program(
    command: Sequence[str], *, seconds: float, abandoned: threading.Event, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program, which ends with this, and so does what it has started.

    Args:
        command: the program and its arguments.
        seconds: that it may take.
        abandoned: is set when nobody waits for this any more.
        options: of ``subprocess.Popen``.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer.
        Abandoned: somebody has set ``abandoned``.
    """
    end = time.monotonic() + seconds
    with _start(command, options) as process:
        try:
            while True:
                try:
                    said = process.communicate(timeout=min(_LOOK, seconds))
                except subprocess.TimeoutExpired:
                    if abandoned.is_set():
                        raise Abandoned from None
                    if time.monotonic() > end:
                        raise
                else:
                    return subprocess.CompletedProcess(command, process.returncode, *said)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def _start(command: Sequence[str], options: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    for pause in (*_PAUSES, None):
        try:
            return subprocess.Popen(  # noqa: S603  # the operator has named the environment
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                **options,
            )
        except OSError as error:
            if error.errno != errno.ETXTBSY or pause is None:
                raise
            time.sleep(pause)
    raise AssertionError


def _explain(folder: Path, python: Path, error: OSError) -> str:
    """Why a Python that could not be started could not."""
    if python.is_symlink() and not python.exists():
        end = python.readlink()
        return (
            f"its bin/python is a link to {str(end)!r}, which is not on this machine; install that "
            "Python, or pack the environment anew on a machine like this one"
        )
    if not python.exists():
        if (folder / "python.exe").exists() or (folder / "Scripts").is_dir():
            return f"it was made for Windows, and this is {this_platform()}: make it here"
        inside = sorted(folder.glob("*/bin/python"))
        hint = f", and is in {inside[0].parent.parent.name!r} instead" if inside else ""
        return f"it has no bin/python, which belongs at the top of it{hint}"
    made_for = _made_for(python)
    hint = "" if made_for else _REASONS.get(error.errno or 0, "")
    return f"its bin/python does not run here{made_for}: {error.strerror}{hint}"


def _made_for(python: Path) -> str:
    """A remark, where a program was made for another kind of machine."""
    made_for, here = platform_of(python), this_platform()
    if not made_for or made_for == here:
        return ""
    return f", since it was made for {made_for} and this is {here}; make the environment here"
