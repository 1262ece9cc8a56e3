"""The way in of a connection: bytes and descriptors as frames."""

from __future__ import annotations

import array
import os
import socket
from collections import deque

from mlserver_core.executors.processes.frames import (
    HEADER_SIZE,
    BrokenFrame,
    Frame,
    Header,
    decode_header,
)
from mlserver_core.executors.processes.shared_memory import map_shared
from mlserver_core.executors.processes.values import unpack

#: Bytes that are read in one turn of the event loop.
_TURN = 64 * 1024
#: Descriptors that one read may bring. Linux brings those of one ``sendmsg``, which is one.
_MOST_DESCRIPTORS = 64
_INT = array.array("i").itemsize
_ANCILLARY = socket.CMSG_SPACE(_MOST_DESCRIPTORS * _INT)
# Plain integers: flags of the standard library are combined in Python, for microseconds each time.
_FLAGS = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_LOST = int(socket.MSG_CTRUNC)
#: What ``unpack`` raises for bytes that are none of its own.
_MISFITS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class FrameReader:
    """Makes frames of what a socket brings, however it is cut."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray(_TURN)
        self._start = self._end = 0
        self._descriptors: deque[int] = deque()

    def receive(self) -> bool:
        """Reads once, a bounded amount; False at the end of what the other side sends.

        Raises:
            OSError: the other side is gone.
            BrokenFrame: a descriptor was lost.
        """
        self._make_room()
        view = memoryview(self._buffer)[self._end :]
        try:
            count, ancillary, flags, _ = self._sock.recvmsg_into(
                [view], _ANCILLARY, _FLAGS
            )
        except (BlockingIOError, InterruptedError):
            return True
        if ancillary:
            self._keep_descriptors(ancillary)
        if flags & _LOST:
            raise BrokenFrame("a descriptor was lost: this process has as many as it may have")
        self._end += count
        return count > 0

    def next_frame(self) -> Frame | None:
        """The next frame that is there as a whole, or None.

        Raises:
            BrokenFrame: what came is none.
        """
        if self._end - self._start < HEADER_SIZE:
            return None
        header = decode_header(self._buffer, self._start)
        body = self._start + HEADER_SIZE
        if self._end - body < header.inline:
            return None
        self._start = body + header.inline
        try:
            if header.shared:
                return self._make_frame(header, self._map(header))
            data = memoryview(self._buffer)[body : self._start]
            return self._make_frame(header, data)
        except BrokenFrame:
            raise
        except (*_MISFITS, OSError) as error:
            raise BrokenFrame(f"a frame {header.kind.name} cannot be read: {error}") from error

    def unfinished(self) -> BrokenFrame | None:
        """What is wrong when nothing follows: the last frame is not all there."""
        if self._start == self._end:
            return None
        return BrokenFrame("the other process ended in the middle of a frame")

    def close(self) -> None:
        """Closes descriptors that belong to no frame yet."""
        while self._descriptors:
            os.close(self._descriptors.popleft())

    def _make_frame(self, header: Header, data: memoryview) -> Frame:
        payload: memoryview | bytearray = data[: header.payload]
        if not header.shared:
            payload = bytearray(payload)  # the buffer is used again
        return Frame(header.kind, header.call, unpack(data[header.payload :], payload))

    def _map(self, header: Header) -> memoryview:
        if not self._descriptors:
            raise BrokenFrame("a frame came without its shared memory")
        return map_shared(self._descriptors.popleft(), header.metadata + header.payload)

    def _keep_descriptors(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                received = array.array("i")
                received.frombytes(data[: len(data) - len(data) % _INT])
                for descriptor in received:
                    os.set_inheritable(descriptor, False)
                    self._descriptors.append(descriptor)

    def _make_room(self) -> None:
        """Moves what is left to the front, and grows for a frame larger than the buffer."""
        left = self._end - self._start
        if not left:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            size = len(self._buffer) * 2 if left == len(self._buffer) else _TURN
            grown = bytearray(max(size, left + 1))
            grown[:left] = memoryview(self._buffer)[self._start : self._end]
            self._buffer, self._start, self._end = grown, 0, left
