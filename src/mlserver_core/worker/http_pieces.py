"""An HTTP answer that is handed on piece by piece, in place of a connection it is written to."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping

from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter

from mlserver_core.executors.interfaces import HttpAnswer

#: Headers of the connection that the worker has not: the server's has its own.
_OF_THE_CONNECTION = frozenset({hdrs.TRANSFER_ENCODING.lower()})


class Pieces(AbstractStreamWriter):
    """What aiohttp writes an answer to, and iterates over what was written.

    Whoever writes waits until the piece has been taken and the next one is asked for.
    """

    def __init__(self) -> None:
        self.length = None
        self._queue: asyncio.Queue[HttpAnswer | bytes | None] = asyncio.Queue()
        self._taken = asyncio.Semaphore(0)
        self._compressor: zlib._Compress | None = None
        self._muted = False

    async def __aiter__(self) -> AsyncIterator[HttpAnswer | bytes]:
        while True:
            piece = await self._queue.get()
            if piece is None:
                return
            yield piece
            self._taken.release()

    def end(self) -> None:
        """There are no more pieces."""
        self._queue.put_nowait(None)

    def mute(self) -> None:
        """Drops what is written from now on."""
        self._muted = True

    async def write_headers(self, status_line: str, headers: Mapping[str, str]) -> None:
        """Begins the answer."""
        _, status, reason = status_line.split(" ", 2)
        await self._put(
            HttpAnswer(status=int(status), reason=reason, headers=pairs(headers), body=None)
        )

    async def write(self, chunk: bytes | bytearray | memoryview = b"") -> None:
        """Hands on a piece of the body."""
        data = bytes(chunk)
        if self._compressor is not None:
            data = self._compressor.compress(data)
        if data:
            await self._put(data)

    async def write_eof(self, chunk: bytes = b"") -> None:
        """Hands on the last piece of the body."""
        await self.write(chunk)
        if self._compressor is not None:
            await self._put(self._compressor.flush())

    async def drain(self) -> None:
        """Nothing is kept back."""

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        """Compresses the body, as ``deflate`` (which in HTTP is zlib's format) or ``gzip``."""
        window = zlib.MAX_WBITS + (16 if encoding == "gzip" else 0)
        self._compressor = zlib.compressobj(
            wbits=window, strategy=zlib.Z_DEFAULT_STRATEGY if strategy is None else strategy
        )

    def enable_chunking(self) -> None:
        """Is the business of the server's connection."""

    async def _put(self, piece: HttpAnswer | bytes) -> None:
        if self._muted:
            return
        self.output_size += len(piece) if isinstance(piece, bytes) else 1
        self._queue.put_nowait(piece)
        await self._taken.acquire()


def pairs(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Headers, one after the other, as they are sent to the server."""
    return tuple(
        (str(name), value)
        for name, value in headers.items()
        if name.lower() not in _OF_THE_CONNECTION
    )
