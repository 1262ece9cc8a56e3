"""Virtual environments, one for each server, so that none decides what another gets."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Written last: an environment without it was not finished, and is made anew.
_DONE = "requirements.txt"


def make_environment(folder: Path, name: str, requirements: Sequence[str]) -> Path:
    """The Python of an environment that has these requirements; made where it is missing.

    Args:
        folder: where environments are kept from one run to the next.
        name: the server's.
        requirements: pip's arguments.

    Raises:
        SystemExit: pip cannot install them; what it said was printed.
    """
    ours = [Path(each, "setup.cfg") for each in requirements if Path(each, "setup.cfg").exists()]
    wanted = [path.read_text(encoding="utf-8") for path in ours]  # what they depend on may change
    text = "\n".join([sys.version, *requirements, *wanted])
    place = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    python = place / "bin" / "python"
    if not (place / _DONE).exists():
        print(f"installing {name} into {place} ...", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", place])
        _run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *requirements])
        (place / _DONE).write_text(text, encoding="utf-8")
    return python


def read_version(python: Path, distribution: str) -> str:
    """The version of an installed distribution."""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    return _run([python, "-c", code]).strip()


def time_import(python: Path, statement: str) -> float:
    """Seconds that an import takes in a fresh interpreter, which has started already."""
    code = f"from time import perf_counter as now; begun = now(); {statement}; print(now() - begun)"
    return float(_run([python, "-c", code]))


def _run(command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"this failed: {' '.join(map(str, command))}")
    return done.stdout
