"""What came of one call and is not read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from mlserver_core.errors import InvalidRequest

#: Bytes from which on a message is placed in memory of its own so that its end is aligned:
#: the last tensor of a message ends with it.
_LARGE = 2**16
_ALIGNMENT = 64
#: Bytes of a piece that is put to the one before it: an object for each would take far more
#: memory than flow control counts.
_SMALL = 512
_Piece = bytes | bytearray | memoryview


class Received:
    """In the place of grpclib's ``Buffer``, which wakes its reader for every piece.

    A piece is acknowledged, which lets the client send more, once a reader wants it.
    """

    def __init__(self, acknowledge: Callable[[int], None]) -> None:
        """For a call.

        Args:
            acknowledge: is told the bytes, as flow control counts them, that were taken.
        """
        self._acknowledge = acknowledge
        self._kept: deque[_Piece] = deque()
        self._room: deque[int] = deque()
        self._pieces: deque[_Piece] = deque()
        self._size = 0
        self._want = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def add(self, data: bytes | memoryview, ack_size: int) -> None:
        """Takes the next piece of the call."""
        if _merge(self._kept, data):
            self._room[-1] += ack_size
        else:
            self._kept.append(data)
            self._room.append(ack_size)
        if self._waiter is not None:
            self._take()

    def eof(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._wake()

    def unacked_size(self) -> int:
        """Bytes that no reader wanted, as flow control counts them."""
        return sum(self._room)

    async def read(self, size: int) -> bytes | memoryview:
        """The next ``size`` bytes; none at the end of the call.

        Raises:
            InvalidRequest: the call ends within them.
        """
        if not size:
            return b""
        self._want = size
        self._take()
        while self._size < size and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._size < size:
            if not self._size:
                return b""
            raise InvalidRequest("the call ended within a message")
        return self._join(size)

    def _take(self) -> None:
        """Takes as many pieces as the reader wants."""
        taken = 0
        while self._size < self._want and self._kept:
            data = self._kept.popleft()
            taken += self._room.popleft()
            self._size += len(data)
            if not _merge(self._pieces, data):
                self._pieces.append(data)
        if self._size >= self._want:
            self._wake()
        if taken:
            self._acknowledge(taken)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _join(self, size: int) -> bytes | memoryview:
        pieces, left = [], size
        while left:
            piece = self._pieces.popleft()
            if len(piece) > left:
                self._pieces.appendleft(memoryview(piece)[left:])
                piece = piece[:left]
            pieces.append(piece)
            left -= len(piece)
        self._size -= size
        if size < _LARGE:
            return b"".join(pieces)
        before = -size % _ALIGNMENT
        return memoryview(bytearray().join([bytes(before), *pieces]))[before:]


def _merge(pieces: deque[_Piece], data: _Piece) -> bool:
    """Puts small data to the last piece, if that is not large."""
    if not pieces or len(data) >= _SMALL:
        return False
    last = pieces[-1]
    if isinstance(last, bytearray) and len(last) < _LARGE:
        last += data
    elif len(last) < _SMALL:
        pieces[-1] = bytearray(last) + data
    else:
        return False
    return True
