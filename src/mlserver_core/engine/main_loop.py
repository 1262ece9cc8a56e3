"""The event loop of a process of ours, and the end of such a process."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import logging
import os
import resource
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as pools
from typing import Any, NoReturn, TypeVar

from mlserver_core.executors.threads import THREAD_PREFIX

#: Seconds that what is cancelled at the end may take.
_PATIENCE = 1.0

#: Of mallopt: bytes of free memory that a process keeps, and of blocks that it does not reuse.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

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


def keep_freed_memory() -> None:
    """Lets this process keep what it frees, up to 128 MiB, for the next tensors.

    glibc gives large blocks back to the system at once, and the system hands out the next ones page
    by page: for tensors of more than 100 kB that costs more than all that is done with them. An
    operator who has set glibc's own variables has decided otherwise; other C libraries are left
    as they are. See mallopt(3).
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # the most that it takes
        mallopt(_M_TRIM_THRESHOLD, 128 * 2**20)


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
    """Ends the process: waits a second for its threads, for which Python would wait for ever, does
    what was registered with ``atexit``, and leaves out the rest of Python's own end. That collects
    garbage only, and was seen to take half a minute on a machine that had much to do.
    """
    waiting = threading.Thread(target=_end_threads, daemon=True)
    waiting.start()
    waiting.join(_PATIENCE)
    # Of those of executors the log has told already.
    stuck = [each.name for each in _others() if not each.name.startswith(THREAD_PREFIX)]
    if stuck:
        names = ", ".join(stuck)
        logger.warning("Threads do not end: %s; the process ends without them", names)
    atexit._run_exitfuncs()  # noqa: SLF001  # there is no other way to do this and no more
    _exit(code)


def _end_threads() -> None:
    pools._python_exit()  # noqa: SLF001  # as Python does: the threads do what waits for them, and end
    for thread in _others():
        thread.join()


def _others() -> list[threading.Thread]:
    """The threads that Python waits for at its end."""
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    return [each for each in others if not each.daemon]


def _exit(code: int) -> NoReturn:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # whoever read it is gone
            stream.flush()
    os._exit(code)
