"""Names the model whose code blocks an event loop."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import attrs

from mlserver_core.executors.inline import InlineExecutor

logger = logging.getLogger("mlserver")

#: Looks in the time after which it warns, and the seconds between two looks at least.
_LOOKS = 4
_SHORTEST = 0.01
#: Seconds until it warns again of a loop that is still blocked.
_AGAIN = 10.0
_OURS = str(Path(__file__).parents[1])


@attrs.define(eq=False)
class LoopWatchdog:
    """Looks from a thread of its own whether an event loop turns, and warns where it does not.

    What counts is the time for which the loop alone stood still: a process that was stopped, or
    a machine that slept, stopped this thread as well. Native code that holds Python's lock stops
    it too and is not seen.

    Attributes:
        loop: the one that is watched, in whose thread this is made.
        name: what the log calls it.
        seconds: how long it may stand still.
        log: takes the level of a message, and its text.
    """

    loop: asyncio.AbstractEventLoop
    name: str
    seconds: float
    log: Callable[[int, str], None] = lambda level, text: logger.log(level, "%s", text)
    _watched: int = attrs.field(factory=threading.get_ident, init=False)
    _stopped: threading.Event = attrs.field(factory=threading.Event, init=False)
    _turned: threading.Event = attrs.field(factory=threading.Event, init=False)

    def start(self) -> None:
        """Begins to look, in a daemon thread."""
        thread = threading.Thread(target=self._watch, name=f"{self.name}-watchdog", daemon=True)
        thread.start()

    def stop(self) -> None:
        """Looks no more; the thread ends soon."""
        self._stopped.set()

    def _watch(self) -> None:
        period = min(max(self.seconds / _LOOKS, _SHORTEST), threading.TIMEOUT_MAX)
        blocked, warned_at = 0.0, 0.0
        while self._ask():
            looked = time.monotonic()
            while not self._stopped.wait(period) and not self._turned.is_set():
                # Not more than two periods: for the rest of a longer wait this thread stood too.
                blocked += min(time.monotonic() - looked, 2 * period)
                looked = time.monotonic()
                if blocked >= (warned_at + _AGAIN if warned_at else self.seconds):
                    warned_at = blocked
                    self._warn(blocked)
            if self._stopped.is_set():
                return
            if warned_at:
                self.log(logging.INFO, f"The {self.name} turns again, after {blocked:.1f} s")
            blocked, warned_at = 0.0, 0.0

    def _ask(self) -> bool:
        """Asks the loop for a sign of life; False when it is closed."""
        self._turned.clear()
        try:
            self.loop.call_soon_threadsafe(self._turned.set)
        except RuntimeError:
            return False
        return True

    def _warn(self, blocked: float) -> None:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001  # documented as public
        if frame is not None:
            self.log(logging.WARNING, _describe(frame, self.name, blocked))


def _describe(frame: FrameType, name: str, blocked: float) -> str:
    """Says what a thread does that stands in ``frame``."""
    stack = [frame]
    while stack[-1].f_back is not None:
        stack.append(stack[-1].f_back)
    for index, each in enumerate(stack):
        executor = each.f_locals.get("self") if _is_ours(each) else None
        if isinstance(executor, InlineExecutor):
            inner = list(reversed(stack[:index]))
            code = next((called for called in inner if not _is_ours(called)), frame)
            settings = executor.settings
            advice = "async def code must not compute or wait; make it a plain def, which runs in a"
            advice += " thread"
            if settings.executor == "inline":
                advice += ', and leave out "executor": "inline"'
            return (
                f"Model {settings.name!r} has blocked the {name} for {blocked:.1f} s in "
                f"{_place(code)}: {advice}"
            )
    return (
        f"The {name} has been blocked for {blocked:.1f} s in {_place(frame)}; no model's code was "
        "found there"
    )


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})"
