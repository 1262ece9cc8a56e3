"""Where a model lives: in this process, in workers, or where a plugin has it."""

from __future__ import annotations

from mlserver_core.errors import ModelLoadError
from mlserver_core.executors.interfaces import Executor, ExecutorFactory
from mlserver_core.hooks.registry import Registry
from mlserver_core.settings import ModelSettings

#: What runs a model in the process that calls it, be it the server or a worker.
_LOCAL_EXECUTORS = ("inline", "threads")
_DEFAULT_EXECUTOR = "threads"
#: The executor of models that live in worker processes.
WORKERS = "processes"


def executor_of(settings: ModelSettings, workers: int | None) -> str:
    """The name of a model's executor: a plugin's, one in this process, or that of workers, where
    the model's own ``executor`` then says how it runs.

    Args:
        settings: of the model.
        workers: how many processes a model lives in that does not say it itself; None where none
            may live in another process.
    """
    name = settings.executor
    if name not in (None, WORKERS, *_LOCAL_EXECUTORS):
        return str(name)
    # A class that was given in code has no name by which another process could find it.
    if workers is not None and isinstance(settings.implementation, str):
        own = settings.parallel_workers
        if (workers if own is None else own) > 0:
            return WORKERS
    return name if name in _LOCAL_EXECUTORS else _DEFAULT_EXECUTOR


def make_executor(
    settings: ModelSettings, executors: Registry[ExecutorFactory], workers: int | None
) -> Executor:
    """The executor of a model, with arguments as ``executor_of`` has them.

    Raises:
        ModelLoadError: there is none of that name.
    """
    name = executor_of(settings, workers)
    make = executors.get(name)
    if make is None:
        raise ModelLoadError(
            settings.name, f"there is no executor {name!r}; known are {', '.join(executors)}"
        )
    return make(settings)
