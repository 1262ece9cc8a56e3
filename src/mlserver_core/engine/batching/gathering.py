"""How long an idle model waits for those whom it has just answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

#: Turns of the event loop from the bytes of a request to the batcher, and one more.
_TURNS = 4


@attrs.define(eq=False, kw_only=True)
class Gathering:
    """The moment after a call that blocked the event loop.

    While the loop stood, answers could not go out and requests could not come in. They all come
    now, a few in each turn of the loop; a model that took the first few at once would keep the
    others out again. So it waits until there are as many as there were, at most as long as that
    call took or as ``max_batch_time``, and beyond that only while the loop itself has not yet
    taken in what has come. A caller who was alone waits not at all.

    Attributes:
        size: requests, of a row each, that the model is asked at once at most.
        seconds: that a request may wait for others.
        count: how many requests wait.
        on_end: is called when the moment is over.
    """

    size: int
    seconds: float
    count: Callable[[], int]
    on_end: Callable[[], None]
    _expected: int = attrs.field(default=0, init=False)
    _handle: asyncio.Handle | None = attrs.field(default=None, init=False)

    def begin(self, callers: int, seconds: float) -> None:
        """A call that blocked the loop is over.

        Args:
            callers: whom it answered, and who wait already.
            seconds: that it took.
        """
        self._stop()
        self._expected = min(max(callers, self._expected), self.size)
        if self._expected > 1:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_later(min(self.seconds, seconds), self._look, 0, -1)

    @property
    def lasts(self) -> bool:
        """Has the moment begun, and not ended?"""
        return self._handle is not None

    def wants_more(self, callers: int) -> bool:
        """Are more than these likely to come in this moment?"""
        return self.lasts and callers < self._expected

    def _look(self, turns: int, before: int) -> None:
        """Ends the moment once a few turns of the loop have brought nobody any more."""
        now = self.count()
        if turns == 0 and (now <= before or now >= self._expected):
            self._stop()
            self._expected = min(self._expected, now)  # they are no longer as many
            self.on_end()
            return
        turns, before = (turns - 1, before) if turns else (_TURNS, now)
        self._handle = asyncio.get_running_loop().call_soon(self._look, turns, before)

    def _stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
