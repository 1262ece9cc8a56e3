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

#: Seconds that what is cancelled at the end, and threads, may take.
_PATIENCE = 1.0

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
    threads = ThreadPoolExecutor(thread_name_prefix="asyncio.to_thread")
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
    """Ends the process, also where a thread never returns, be it a model's executor's, one of the
    loop's or one that a model has started itself.

    Args:
        code: its exit code.
    """
    # In the background, as idle threads of an executor only end when Python does.
    threading.Thread(target=_end_without_threads, args=(code,), daemon=True).start()
    sys.exit(code)


def _end_without_threads(code: int) -> None:
    time.sleep(_PATIENCE)
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    stuck = [each.name for each in others if not each.daemon]  # what Python waits for
    # Of those of executors the log has told already.
    names = ", ".join(name for name in stuck if not name.startswith(THREAD_PREFIX))
    if names:
        logger.warning("Threads do not end: %s; the process ends without them", names)
    if stuck:
        _exit(code)


def _exit(code: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
