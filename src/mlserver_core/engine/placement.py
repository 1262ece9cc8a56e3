"""Where a model lives: in this process, in workers, or where a plugin has it."""

from __future__ import annotations

from mlserver_core.settings import ModelSettings

#: What runs a model in the process that calls it, be it the server or a worker.
_LOCAL_EXECUTORS = ("inline", "threads")
_DEFAULT_EXECUTOR = "threads"
#: The executor of models that live in worker processes.
WORKERS = "processes"


def executor_of(settings: ModelSettings, workers: int) -> str:
    """The name of a model's executor: a plugin's, one in this process, or that of workers, where
    the model's own ``executor`` then says how it runs.

    Args:
        settings: of the model.
        workers: how many processes a model lives in that does not say it itself.
    """
    name = settings.executor
    if name is not None and name not in _LOCAL_EXECUTORS:
        return name
    workers = workers if settings.parallel_workers is None else settings.parallel_workers
    # A class that was given in code has no name by which another process could find it.
    if workers > 0 and isinstance(settings.implementation, str):
        return WORKERS
    return name or _DEFAULT_EXECUTOR
