"""A builder at work: what it prints is shown as it comes, and it does not outlive the command."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import IO

#: Seconds that a builder has to clean up when it is told to stop.
_GRACE = 10

Send = Callable[[IO[bytes]], None]


def run_builder(command: Sequence[str], send: Send | None = None) -> int:
    """Runs a builder to its end.

    Args:
        command: its words.
        send: writes what it reads from its standard input; the builder may end before it has
            read all.

    Returns:
        Its exit code; where a signal ended it, the signal's number below zero.

    Raises:
        OSError: it cannot be started, or ``send`` raised it; the builder is ended then.
        KeyboardInterrupt: at SIGINT and SIGTERM, once the builder has ended.
    """
    with _interrupted_by_sigterm(), ThreadPoolExecutor(1) as pool:
        process = subprocess.Popen(command, stdin=subprocess.PIPE if send else None)
        try:
            # In a thread: a signal has to be answered also while the builder reads nothing.
            sending = pool.submit(_send, process, send)
            code = process.wait()
        except BaseException:
            _stop(process)  # which ends the thread too: nobody reads its pipe any more
            raise
    sending.result()
    return code


def _send(process: subprocess.Popen[bytes], send: Send | None) -> None:
    if send is None or process.stdin is None:
        return
    try:
        send(process.stdin)
    except BrokenPipeError:  # it has ended, and has said why
        pass
    except BaseException:
        process.kill()  # before it sees the end of its input: that is half of a folder
        raise
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.terminate()
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:  # also at a second signal
        process.kill()
        process.wait()


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM, with which CI systems cancel, does what Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
