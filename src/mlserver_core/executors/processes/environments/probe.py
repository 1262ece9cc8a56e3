"""Looks whether a worker could run in an environment, before a model is loaded there."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlserver_core.executors.processes.environments.faults import UnusableEnvironment
from mlserver_core.executors.processes.environments.packages import find_misfit
from mlserver_core.executors.processes.environments.programs import run_python
from mlserver_core.executors.processes.greeting import mismatch, version

#: The oldest Python that mlserver-core runs on.
_OLDEST = (3, 10)
#: Seconds that the imports of a worker may take from a cold disk.
_PATIENCE = 120.0
#: Runs on any Python 3; the last line that it prints is for ``probe``.
_QUESTION = """
import json, sys
found = {"python": list(sys.version_info[:2])}
try:
    import mlserver_core
    from importlib import metadata
    try:
        found["release"] = metadata.version("mlserver-core")
    except metadata.PackageNotFoundError:
        pass
    from mlserver_core.executors.processes import frames
    found["protocol"] = getattr(frames, "PROTOCOL", None)
    import mlserver_core.worker.process
except Exception as error:
    found["lacking"] = getattr(error, "name", None) == "mlserver_core"
    found["failure"] = "%s: %s" % (type(error).__name__, error)
print()
print(json.dumps(found))
"""


def probe(folder: Path, abandoned: threading.Event) -> None:
    """Looks at the environment in a folder, with its own Python.

    Args:
        folder: of the environment.
        abandoned: is set when nobody waits for this any more.

    Raises:
        UnusableEnvironment: no worker of this server can run there; says what to do.
        Abandoned: somebody has set ``abandoned``.
    """
    question = ["-I", "-c", _QUESTION]
    said = run_python(folder, question, seconds=_PATIENCE, abandoned=abandoned)
    try:
        found = json.loads(said.strip().rpartition("\n")[2])
        python = tuple(map(int, found["python"]))
    except (ValueError, TypeError, LookupError):
        raise UnusableEnvironment("its bin/python is no Python") from None
    problem = _find_problem(folder, python, found)
    if problem:
        raise UnusableEnvironment(problem)


def _find_problem(folder: Path, python: tuple[int, ...], found: Mapping[str, Any]) -> str:
    has, oldest = (".".join(map(str, each)) for each in (python, _OLDEST))
    misfit = find_misfit(folder, has) if "failure" in found else ""
    if misfit:
        return misfit
    if python < _OLDEST:
        return f"it has Python {has}; mlserver-core needs {oldest} or later"
    if found.get("lacking"):
        return (
            "mlserver-core is not installed in it: run `pip install "
            f"mlserver-core=={version()}` in the environment, and pack it again if it was packed"
        )
    if "protocol" in found:
        problem = mismatch(found["protocol"], found.get("release"))
        if problem:
            return problem
    if "failure" in found:
        return (
            f"the mlserver-core in it cannot be imported ({found['failure']}): run `pip install "
            f"mlserver-core=={version()}` in the environment, and pack it again if it was packed"
        )
    return ""
