"""Counts what is being worked on, and waits until nothing is."""

from __future__ import annotations

import asyncio

import attrs


@attrs.define(eq=False)
class InFlight:
    """How many pieces of work are under way; what happens inside ``with`` is one.

    Attributes:
        count: that number.
    """

    count: int = attrs.field(default=0, init=False)
    _idle: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1
        if self.count == 0:
            self._idle.set()

    async def drained(self, seconds: float | None = None) -> bool:
        """Waits until nothing is under way; True when it came to that.

        Args:
            seconds: how long to wait at most; None waits for ever.
        """
        if self.count == 0:
            return True
        self._idle.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True
