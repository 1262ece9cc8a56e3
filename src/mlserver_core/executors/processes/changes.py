"""Lets coroutines wait until something may have changed."""

from __future__ import annotations

import asyncio

import attrs


@attrs.define(eq=False)
class Changes:
    """Wakes whoever waits; costs nothing while nobody does."""

    _next: asyncio.Future[None] | None = attrs.field(default=None, init=False)

    async def wait(self) -> None:
        """Returns after the next ``note``."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    def note(self) -> None:
        """Something has changed."""
        if self._next is not None:
            self._next.set_result(None)
            self._next = None
