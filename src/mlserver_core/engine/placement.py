"""Where a model lives: in this process, in workers, or where a plugin's executor takes it."""

from __future__ import annotations

from mlserver_core.engine.parts import Parts
from mlserver_core.errors import ModelLoadError
from mlserver_core.executors.interfaces import Executor, RemoteExecutor
from mlserver_core.settings import ModelSettings

_DEFAULT = "threads"
#: Executors that run a model in the process that calls them, be it the server or a worker.
_LOCAL = ("inline", "threads")
#: The executor of models that live in worker processes.
_WORKERS = "processes"


def make_executor(settings: ModelSettings, parts: Parts) -> Executor:
    """The executor of a model; raises ModelLoadError where there is none of that name."""
    name = _choose(settings, parts)
    if settings.executor == _WORKERS and in_server(settings, parts):
        raise ModelLoadError(
            settings.name,
            f"executor {_WORKERS!r}: the model runs in the server's own process, as "
            "parallel_workers is 0 or its class was given in code; have it run in workers, or "
            "leave executor out",
        )
    make = parts.executors.get(name)
    if make is None:
        raise ModelLoadError(
            settings.name,
            f"there is no executor {name!r}; known are {', '.join(parts.executors)}",
        )
    executor = make(settings)
    # In a worker the model is in its environment already.
    if settings.has_environment and parts.workers is not None:
        _check_elsewhere(settings, executor)
    return executor


def _check_elsewhere(settings: ModelSettings, executor: Executor) -> None:
    """Raises ModelLoadError where a model with an environment would run in the server's Python."""
    if isinstance(executor, RemoteExecutor):
        return
    if not isinstance(settings.implementation, str):
        text = "its class was given in code: give its dotted path as implementation"
    elif settings.executor not in (None, _WORKERS, *_LOCAL):
        text = f"executor {settings.executor!r} runs it there: leave executor out"
    else:
        text = "parallel_workers is 0: have it run in workers, with parallel_workers 1 or more"
    raise ModelLoadError(
        settings.name,
        "a model with an environment of its own cannot run in the server's own process, where "
        f"{text}; or leave environment_tarball and environment_path out",
    )


def in_workers(settings: ModelSettings, parts: Parts) -> bool:
    """Does a model live in worker processes of this server?"""
    return _choose(settings, parts) == _WORKERS


def in_server(settings: ModelSettings, parts: Parts) -> bool:
    """Does a model live in the server's own process? Never true in a worker."""
    return parts.workers is not None and _choose(settings, parts) in _LOCAL


def slots(settings: ModelSettings, parts: Parts) -> int:
    """How many batches a model can work on at once; 0 in a worker, whose server makes them."""
    if parts.workers is None:
        return 0
    workers = _workers(settings, parts.workers) if in_workers(settings, parts) else 1
    return workers * settings.predict_threads


def _choose(settings: ModelSettings, parts: Parts) -> str:
    """The name of an executor. In workers, a model's own ``executor`` says how it runs there."""
    name = settings.executor
    if name not in (None, _WORKERS, *_LOCAL):
        return str(name)
    # A class that was given in code has no name by which another process could find it.
    named = isinstance(settings.implementation, str)
    if named and parts.workers is not None and _workers(settings, parts.workers) > 0:
        return _WORKERS
    return name if name in _LOCAL else _DEFAULT


def _workers(settings: ModelSettings, default: int) -> int:
    return default if settings.parallel_workers is None else settings.parallel_workers
