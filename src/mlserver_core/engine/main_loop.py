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
from typing import Any, NoReturn

from mlserver_core.executors.threads import THREAD_PREFIX

#: Seconds that what is cancelled at the end may take.
_PATIENCE = 1.0
#: What the names of the loop's own threads begin with.
_LOOP_THREADS = "mlserver-loop"

logger = logging.getLogger("mlserver")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs the event loop, uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(_with_threads(coroutine))
    else:
        uvloop.run(_with_threads(coroutine))


async def _with_threads(coroutine: Coroutine[Any, Any, None]) -> None:
    """Gives the loop the threads of ``asyncio.to_thread``; where one of them never returns, ends
    the process, as the loop would wait for it for ever.
    """
    threads = ThreadPoolExecutor(thread_name_prefix=_LOOP_THREADS)
    asyncio.get_running_loop().set_default_executor(threads)
    await coroutine
    threads.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _PATIENCE
    left = [each for each in threading.enumerate() if each.name.startswith(_LOOP_THREADS)]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in left):
        logger.warning("A thread of asyncio.to_thread does not end; the process ends without it")
        _exit(0)


def lift_descriptor_limit() -> None:
    """Lets this process have as many open files as it may: connections, and tensors that came
    through shared memory, take one each.
    """
    with contextlib.suppress(OSError, ValueError):  # some systems allow less than they say
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def end_tasks() -> None:
    """Ends what models have left in the event loop, which would wait for it for ever; and where
    a model does not let itself be cancelled, the process.
    """
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left and (await asyncio.wait(left, timeout=_PATIENCE))[1]:
        logger.warning("A model does not let its work be cancelled; the process ends without it")
        _exit(0)


def end(code: int) -> NoReturn:
    """Ends the process, also where a model's thread never returns."""
    stuck = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)]
    for thread in stuck:
        thread.join(0.1)
    if any(thread.is_alive() for thread in stuck):
        _exit(code)
    sys.exit(code)


def _exit(code: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
