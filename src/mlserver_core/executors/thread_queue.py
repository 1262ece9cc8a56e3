"""Calls that wait for one of a model's threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import attrs


class Call(Future[Any]):
    """A function call whose result comes later; one that has not begun can be cancelled."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        super().__init__()
        self._function = function
        self._arguments = arguments

    def run(self) -> None:
        """Makes the call, unless it is cancelled."""
        if not self.set_running_or_notify_cancel():
            return
        try:
            result = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            self.set_exception(error)
            del self  # the traceback of the error holds this frame
        else:
            self.set_result(result)


@attrs.define(eq=False)
class ThreadQueue:
    """Runs calls in order, in a number of threads.

    A ThreadPoolExecutor alone would keep a call that is cancelled, with the tensors that it
    holds, until a thread comes to it; and that may never happen.
    """

    _threads: int
    _name: str
    _pool: ThreadPoolExecutor = attrs.field(init=False)
    _waiting: deque[Call] = attrs.field(factory=deque, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _busy: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self._threads, self._name)

    @property
    def waiting(self) -> int:
        """How many calls have not begun."""
        return len(self._waiting)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Call:
        """Puts a call behind all others; raises RuntimeError after ``end``, and where the system
        lets no thread begin.
        """
        call = Call(function, arguments)
        with self._lock:
            if self._ended:
                raise RuntimeError("the threads of the model have ended")
            self._waiting.append(call)
            is_free = self._busy < self._threads
            self._busy += is_free
        call.add_done_callback(self._forget)
        if is_free:
            try:
                self._pool.submit(self._work)
            except RuntimeError:
                with self._lock:
                    self._busy -= 1  # or else the next would wait for a thread that is not there
                call.cancel()
                raise
        return call

    def end(self) -> None:
        """Cancels what has not begun, and ends the threads; one that never returns is left."""
        with self._lock:
            self._ended = True
            waiting = list(self._waiting)
        for call in waiting:
            call.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call.run()

    def _next(self) -> Call | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._busy -= 1
            return None

    def _forget(self, call: Future[Any]) -> None:
        if call.cancelled():
            with self._lock:
                if call in self._waiting:
                    self._waiting.remove(call)  # type: ignore[arg-type]
