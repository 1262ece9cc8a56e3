"""How long an idle model waits for those whom it has just answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs


@attrs.define(eq=False, kw_only=True)
class Gathering:
    """The moment after a call that blocked the event loop.

    While the loop stood, answers could not go out and requests could not come in. They all come
    now, a few in each turn of the loop; a model that took the first few at once would keep the
    others out again. So it waits until there are as many as there were: never longer than that
    call took, or than ``max_batch_time``, and not at all for a caller who was alone.

    Attributes:
        size: requests, of a row each, that the model is asked at once at most.
        seconds: that a request may wait for others.
        on_end: is called when the moment is over.
    """

    size: int
    seconds: float
    on_end: Callable[[], None]
    _expected: int = attrs.field(default=0, init=False)
    _timer: asyncio.TimerHandle | None = attrs.field(default=None, init=False)

    def begin(self, callers: int, seconds: float) -> None:
        """A call that blocked the loop is over.

        Args:
            callers: whom it answered, and who wait already.
            seconds: that it took.
        """
        self.end()
        self._expected = min(callers, self.size)
        if self._expected > 1:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(self.seconds, seconds), self._elapse)

    def end(self) -> None:
        """Nobody waits any longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wants_more(self, callers: int) -> bool:
        """Are more than these likely to come in this moment?"""
        return self._timer is not None and callers < self._expected

    def _elapse(self) -> None:
        self._timer = None
        self.on_end()
