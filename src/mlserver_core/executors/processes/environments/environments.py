"""From what a model's settings say of its environment to the Python that its workers run."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs

from mlserver_core.errors import ModelLoadError
from mlserver_core.executors.processes.environments.faults import UnusableEnvironment
from mlserver_core.executors.processes.environments.members import Limits
from mlserver_core.executors.processes.environments.probe import probe
from mlserver_core.executors.processes.environments.store import Store
from mlserver_core.executors.processes.interpreter import EnvironmentPython, ServerPython
from mlserver_core.settings import ModelSettings, Settings

T = TypeVar("T")


@attrs.define(eq=False)
class Environments:
    """The environments of one server's models.

    Attributes:
        settings: of the server.
    """

    settings: Settings
    _store: Store = attrs.field(init=False)
    #: Models of one archive wait for the first of them, and unpack nothing.
    _one_by_one: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        limits = Limits(
            bytes=self.settings.environment_max_bytes,
            entries=self.settings.environment_max_entries,
        )
        self._store = Store(Path(self.settings.environments_dir).expanduser().absolute(), limits)

    async def find(self, model: ModelSettings) -> ServerPython:
        """The Python that a model's workers are to run: the server's, where it has no environment.

        An archive is unpacked first, where its content is not there yet. Either way the
        environment is asked whether a worker could run in it.

        Raises:
            ModelLoadError: there is no such environment, or no worker could; says what to do.
        """
        parameters = model.parameters
        if parameters is None or not model.has_environment:
            return ServerPython()
        if parameters.environment_path and parameters.environment_tarball:
            raise ModelLoadError(
                model.name,
                "parameters.environment_path and parameters.environment_tarball are both set; "
                "leave one out",
            )
        name = "environment_path" if parameters.environment_path else "environment_tarball"
        try:
            path = _resolve(model, getattr(parameters, name))
            if parameters.environment_path:
                folder = await _in_thread(partial(_look_at, path))
                return EnvironmentPython(folder=folder, identity=str(folder))
            async with self._one_by_one:
                identity, folder = await _in_thread(partial(self._store.take, path))
            return EnvironmentPython(folder=folder, identity=identity)
        except (UnusableEnvironment, OSError) as error:
            raise ModelLoadError(model.name, f"parameters.{name}: {error}") from None


async def _in_thread(work: Callable[[threading.Event], T]) -> T:
    """What a function returns, which learns by an event that nobody waits for that any more."""
    abandoned = threading.Event()
    try:
        return await asyncio.to_thread(work, abandoned)
    except asyncio.CancelledError:
        abandoned.set()
        raise


def _resolve(model: ModelSettings, given: str) -> Path:
    """A path in a model's settings, which begins at the folder of the settings file."""
    try:
        path = Path(os.path.expandvars(given)).expanduser()
    except RuntimeError:
        raise UnusableEnvironment(f"{given}: there is no such home directory") from None
    return ((model.folder or Path.cwd()) / path).absolute()


def _look_at(path: Path, abandoned: threading.Event) -> Path:
    """The folder that a path leads to just now; raises UnusableEnvironment."""
    if not path.is_dir():
        what = "is no folder" if path.exists() else "is not there"
        raise UnusableEnvironment(f"{path} {what}; give the folder that has bin/python in it")
    folder = path.resolve()
    try:
        probe(folder, abandoned)
    except UnusableEnvironment as error:
        raise UnusableEnvironment(f"{path}: {error}") from None
    return folder
