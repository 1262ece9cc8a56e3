"""Calls that wait for one of a model's threads."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import thread as pools
from queue import SimpleQueue
from typing import Any

import attrs

from mlserver_core.executors.calls import Call

#: Wakes a thread that has nothing to do: True to look again, None to end.
Bell = SimpleQueue[bool | None]


@attrs.define(eq=False)
class ThreadQueue:
    """Runs calls in order, in a number of threads that begin when they are first needed.

    It belongs to the event loop that made it. A thread takes what waits until there is nothing
    left, and its results go to the loop: all that there are when the loop comes to them at once,
    since it is the waking of the other side that costs most of a call.

    Attributes:
        calls: those that are not over, one whose caller has left among them.
    """

    _threads: int
    _name: str
    calls: set[Call] = attrs.field(factory=set)
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, init=False)
    _waiting: deque[Call] = attrs.field(factory=deque, init=False)
    _results: deque[tuple[Call, Any, BaseException | None]] = attrs.field(factory=deque, init=False)
    _is_told: bool = attrs.field(default=False, init=False)
    _bells: list[Bell] = attrs.field(factory=list, init=False)
    _idle: list[Bell] = attrs.field(factory=list, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    #: Of ``_waiting`` and ``_idle``: a thread that finds nothing is idle from that moment.
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @property
    def waiting(self) -> int:
        """How many calls have not begun."""
        return len(self._waiting)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Call:
        """Puts a call behind all others; raises RuntimeError after ``end``, and where the system
        lets no thread begin.
        """
        if self._ended:
            raise RuntimeError("the threads of the model have ended")
        call = Call(self._loop.create_future(), function, arguments, self._leave)
        with self._lock:
            self._waiting.append(call)
            bell = self._idle.pop() if self._idle else None
        self.calls.add(call)
        if bell is not None:
            bell.put(True)
        elif len(self._bells) < self._threads:
            try:
                self._begin()
            except RuntimeError:
                call.withdraw()
                raise
        return call

    def end(self) -> None:
        """Withdraws what has not begun, and ends the threads; one that never returns is left."""
        self._ended = True
        for call in list(self._waiting):
            call.withdraw()
        for bell in self._bells:
            bell.put(None)

    def _leave(self, call: Call) -> bool:
        with self._lock:
            try:
                self._waiting.remove(call)
            except ValueError:
                return False
        self.calls.discard(call)
        return True

    def _begin(self) -> None:
        bell: Bell = SimpleQueue()
        name = f"{self._name}_{len(self._bells)}"
        thread = threading.Thread(target=self._work, args=(bell,), name=name)
        # Python's own pools have theirs there too: at its end it puts None, and then waits.
        bells: Any = pools._threads_queues  # noqa: SLF001  # no public way to it
        thread.start()
        self._bells.append(bell)
        bells[thread] = bell

    def _work(self, bell: Bell) -> None:
        while True:
            with self._lock:
                call = self._waiting.popleft() if self._waiting else None
                if call is None:
                    self._idle.append(bell)
            if call is not None:
                self._give(call, *call.run())
            elif bell.get() is None:
                return

    def _give(self, call: Call, result: Any, error: BaseException | None) -> None:
        self._results.append((call, result, error))
        if not self._is_told:
            self._is_told = True
            try:
                self._loop.call_soon_threadsafe(self._finish)
            except RuntimeError:
                return  # the loop is closed, and nobody waits

    def _finish(self) -> None:
        self._is_told = False  # first, so that what comes from now on tells again
        while self._results:
            call, result, error = self._results.popleft()
            self.calls.discard(call)
            call.finish(result, error)
