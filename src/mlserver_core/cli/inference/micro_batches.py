"""Gathers lines that may go to the server in one call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import attrs

from mlserver_core.cli.inference.lines import Line
from mlserver_core.engine.batching.parts import Part, to_part

#: Seconds that lines wait for others to be merged with.
_LINGER = 0.05


@attrs.frozen
class Call:
    """What a worker does next.

    Attributes:
        lines: whose requests are sent.
        parts: these requests, to be merged; empty where there is one line.
    """

    lines: list[Line]
    parts: list[Part]


async def micro_batches(
    chunks: AsyncIterator[list[Line]], size: int, admit: Callable[[Line], Awaitable[bool]]
) -> AsyncGenerator[list[Line], None]:
    """Up to ``size`` lines at a time, fewer where no more come soon.

    Args:
        chunks: the lines of the input.
        size: of a micro-batch at most.
        admit: waits until there is a place for the line, and tells whether it is to be sent.
    """
    waiting: list[Line] = []
    coming = asyncio.ensure_future(_next(chunks))
    try:
        while True:
            if waiting:
                done, _ = await asyncio.wait({coming}, timeout=_LINGER)
                if not done:
                    yield waiting
                    waiting = []
            lines = await coming
            if lines is None:
                break
            coming = asyncio.ensure_future(_next(chunks))
            for line in lines:
                if line.request is None and waiting:
                    # Its result is held back until those before it are there, and takes a place.
                    yield waiting
                    waiting = []
                if await admit(line):
                    waiting.append(line)
                if len(waiting) == size:
                    yield waiting
                    waiting = []
        if waiting:
            yield waiting
    finally:
        coming.cancel()


def to_calls(lines: list[Line]) -> list[Call]:
    """One call for all lines that agree, and one for each that agrees with no other."""
    calls: dict[Any, Call] = {}
    for line in lines:
        part = to_part(line.asked) if len(lines) > 1 else None
        call = calls.setdefault(line.index if part is None else part.key, Call([], []))
        call.lines.append(line)
        if part is not None:
            call.parts.append(part)
    return list(calls.values())


async def _next(chunks: AsyncIterator[list[Line]]) -> list[Line] | None:
    async for lines in chunks:
        return lines
    return None
