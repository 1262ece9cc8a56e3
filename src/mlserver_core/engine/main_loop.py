"""The event loop of a process of ours, and the end of such a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

from mlserver_core.executors.threads import THREAD_PREFIX

#: Seconds that what is cancelled at the end may take.
_PATIENCE = 1.0
#: What the names of the loop's own threads begin with.
_LOOP_THREADS = "mlserver-loop"

logger = logging.getLogger("mlserver")

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs the event loop, uvloop's where it is installed, and returns what a coroutine returns."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_with_threads(coroutine))
    result: T = uvloop.run(_with_threads(coroutine))
    return result


async def _with_threads(coroutine: Coroutine[Any, Any, T]) -> T:
    """Gives the loop the threads of ``asyncio.to_thread``, which are left to ``end``: the loop
    would wait for ever for one that never returns.
    """
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(thread_name_prefix=_LOOP_THREADS)
    loop.set_default_executor(threads)
    try:
        return await coroutine
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        loop.set_default_executor(ThreadPoolExecutor())  # it waits for that of this one


def lift_descriptor_limit() -> None:
    """Lets this process have as many open files as it may: connections, and tensors that came
    through shared memory, take one each.
    """
    with contextlib.suppress(OSError, ValueError):  # some systems allow less than they say
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def end_tasks(code: int) -> None:
    """Ends what models have left in the event loop, which would wait for it for ever; and where
    a model does not let itself be cancelled, the process.

    Args:
        code: the exit code of the process then.
    """
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left and (await asyncio.wait(left, timeout=_PATIENCE))[1]:
        logger.warning("A model does not let its work be cancelled; the process ends without it")
        _exit(code)


def end(code: int) -> NoReturn:
    """Ends the process, also where a thread of a model or of the loop never returns.

    Args:
        code: its exit code.
    """
    models, loops = _threads(THREAD_PREFIX), _threads(_LOOP_THREADS)
    for thread in models:
        thread.join(0.1)
    deadline = time.monotonic() + _PATIENCE
    for thread in loops:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in loops):
        logger.warning("A thread of asyncio.to_thread does not end; the process ends without it")
    if any(thread.is_alive() for thread in (*models, *loops)):
        _exit(code)
    sys.exit(code)


def _threads(prefix: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]


def _exit(code: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
