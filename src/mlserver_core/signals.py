"""SIGTERM and SIGINT: the first one stops a server, a second one ends the process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs

logger = logging.getLogger("mlserver")

_NUMBERS = (signal.SIGTERM, signal.SIGINT)
#: Seconds within which a signal is the first one once more: some, such as ``timeout``, signal a
#: process and then the group that it is in.
_SAME = 0.1
#: Seconds that the last line of the log may take.
_LAST_LINE = 1.0


@attrs.define(eq=False)
class StopSignals:
    """Listens to the signals on behalf of one server; several may do so in one process.

    A handler of Python's, not of the event loop's: the second signal works too where code of a
    model blocks the loop.

    Attributes:
        loop: runs the server.
        stop: is called in the loop with the first signal.
    """

    loop: asyncio.AbstractEventLoop
    stop: Callable[[int], object]
    _before: dict[int, Any] = attrs.field(factory=dict, init=False)
    _listening: bool = attrs.field(default=False, init=False)
    _signalled: float | None = attrs.field(default=None, init=False)

    def listen(self) -> None:
        """Begins; raises ValueError outside of the main thread."""
        for number in _NUMBERS:
            self._before[number] = signal.signal(number, self)
        self._listening = True

    def leave(self) -> None:
        """Ends, and puts back what was there before."""
        self._listening = False
        for number in self._before:
            present: object = signal.getsignal(number)
            if present is self:
                signal.signal(number, self._rest(number))

    def __call__(self, number: int, frame: object) -> None:
        """Takes a signal, as Python calls it."""
        if self._listening:
            now = time.monotonic()
            if self._signalled is None:
                self._signalled = now
                self.loop.call_soon_threadsafe(self.stop, number)
            elif now - self._signalled > _SAME:
                _end(number)
        before = self._rest(number)
        if isinstance(before, StopSignals):
            before(number, frame)

    def standing(self, number: int) -> Any:
        """This one while it listens, and otherwise what was there before."""
        return self if self._listening else self._rest(number)

    def _rest(self, number: int) -> Any:
        before = self._before[number]
        return before.standing(number) if isinstance(before, StopSignals) else before


def _end(number: int) -> None:
    """Ends the process, with a line in the log if that is possible at once."""
    name = signal.Signals(number).name
    text = "Second signal (%s): stopping at once, without waiting for anything"
    # In a thread: this one may have been interrupted in the middle of logging, and nobody may be
    # reading what is logged.
    last_line = threading.Thread(target=logger.warning, args=(text, name), daemon=True)
    try:
        last_line.start()
        last_line.join(_LAST_LINE)
    finally:
        os._exit(128 + number)  # as a shell says of what a signal has ended
