"""The event loop of a process of ours, and the end of such a process."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Coroutine
from typing import Any, NoReturn

from mlserver_core.executors.threads import THREAD_PREFIX


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs the event loop, uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


def end(code: int) -> NoReturn:
    """Ends the process, also where a model's thread never returns."""
    stuck = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)]
    for thread in stuck:
        thread.join(0.1)
    if any(thread.is_alive() for thread in stuck):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
