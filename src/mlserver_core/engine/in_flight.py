"""Counts what is being worked on, and waits until nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import attrs


@attrs.define(eq=False)
class InFlight:
    """How many pieces of work are under way.

    Attributes:
        count: that number.
    """

    count: int = attrs.field(default=0, init=False)
    _idle: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    @contextmanager
    def one(self) -> Iterator[None]:
        """What happens inside is one piece of work."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            if self.count == 0:
                self._idle.set()

    async def drained(self, seconds: float) -> bool:
        """Waits until nothing is under way, ``seconds`` at most; True when it came to that."""
        if self.count == 0:
            return True
        self._idle.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True
