"""Which Python workers run, and what they find around them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import attrs

from mlserver_core.executors.processes.cores import count_cores
from mlserver_core.settings import Settings

#: What a worker runs. Its import path is settled before anything is imported, since modules of the
#: current folder would otherwise stand in for the interpreter's own.
_BOOT = (
    "import sys; sys.path.pop(0); import json; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from mlserver_core.worker.process import run; run(*map(int, sys.argv[1:]))"
)
#: The same with the import path of another Python, after which comes what is beside the models.
_BOOT_ELSEWHERE = (
    "import sys; sys.path[:] = filter(None, sys.path); import json; "
    "sys.path += json.loads(sys.argv.pop(1)); "
    "from mlserver_core.worker.process import run; run(*map(int, sys.argv[1:]))"
)
#: Variables that lead a Python to the modules of another one.
_MISLEADING = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONPLATLIBDIR",
    "PYTHONEXECUTABLE",
    "PYTHONUSERBASE",
    "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
)
_THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class ServerPython:
    """The server's own Python, with its import path.

    Attributes:
        shares_plugins: are the plugins of the server there?
    """

    shares_plugins: ClassVar[bool] = True

    def command(self, settings: Settings, frames: int, heart: int) -> Sequence[str]:  # noqa: ARG002  # another Python needs them
        """What starts a worker.

        Args:
            settings: of the server.
            frames: the descriptor of the socket for frames.
            heart: that of the socket for signs of life.
        """
        return [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(frames), str(heart)]

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables that it finds.

        Args:
            environ: those of the server.
        """
        return dict(environ)


@attrs.frozen(kw_only=True)
class EnvironmentPython(ServerPython):
    """The Python of an environment, which finds nothing that is installed for the server.

    Attributes:
        folder: of the environment, absolute.
        identity: is the same for all that is the same environment.
    """

    shares_plugins: ClassVar[bool] = False
    folder: Path
    identity: str

    @property
    def executable(self) -> Path:
        """The program."""
        return self.folder / "bin" / "python"

    def command(self, settings: Settings, frames: int, heart: int) -> Sequence[str]:
        """What starts a worker. Modules are found in the environment, and then in the folders
        that ``mlserver start`` adds for models.
        """
        beside = (str(Path.cwd()), str(Path(settings.model_repository_root).resolve()))
        paths = json.dumps([each for each in dict.fromkeys(beside) if each in sys.path])
        executable = str(self.executable)
        return [executable, "-c", _BOOT_ELSEWHERE, paths, str(frames), str(heart)]

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The server's variables as in a shell in which the environment is active: its programs
        come first, and nothing leads to the modules of another Python.
        """
        kept = {name: value for name, value in environ.items() if name not in _MISLEADING}
        is_conda = (self.folder / "conda-meta").is_dir()
        kept["CONDA_PREFIX" if is_conda else "VIRTUAL_ENV"] = str(self.folder)
        kept["PYTHONNOUSERSITE"] = "1"
        programs = str(self.folder / "bin")
        kept["PATH"] = os.pathsep.join(filter(None, (programs, environ.get("PATH", os.defpath))))
        return kept


def share_cores(environ: Mapping[str, str], workers: int) -> dict[str, str]:
    """The variables of each of a number of workers.

    The libraries that numerical code is built on start a thread for each core; several workers
    that all did would get in each other's way. What the operator has set stays.
    """
    threads = str(max(1, count_cores() // max(1, workers)))
    return {**dict.fromkeys(_THREAD_COUNTS, threads), **environ}
