"""The way in of a connection: bytes and descriptors as frames."""

from __future__ import annotations

import array
import os
import socket
from collections import deque

from mlserver_core.errors import MLServerError, Unavailable
from mlserver_core.executors.processes.frames import (
    HEADER_SIZE,
    BrokenFrame,
    Frame,
    Header,
    decode_header,
)
from mlserver_core.executors.processes.refusals import Unread
from mlserver_core.executors.processes.shared_memory import map_shared
from mlserver_core.executors.processes.values import unpack

#: Bytes that are read in one turn of the event loop, at most.
_TURN = 64 * 1024
#: Bytes of the buffer, with room for any frame that is not large.
_BUFFER = 256 * 1024
#: Descriptors that one read may bring. Linux brings those of one ``sendmsg``, which is one.
_MOST_DESCRIPTORS = 64
_INT = array.array("i").itemsize
_ANCILLARY = socket.CMSG_SPACE(_MOST_DESCRIPTORS * _INT)
# Plain integers: flags of the standard library are combined in Python, for microseconds each time.
#: Linux can close descriptors in children from the first moment on.
_FLAGS = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_LOST = int(socket.MSG_CTRUNC)
#: What ``unpack`` raises for bytes that it cannot make a value of.
_MISFITS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class FrameReader:
    """Makes frames of what a socket brings, however it is cut."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._own = self._buffer = bytearray(_BUFFER)
        self._front = [memoryview(self._own)[:_TURN]]
        self._start = self._end = 0
        self._descriptors: deque[int | None] = deque()

    def receive(self) -> bool:
        """Reads once, a bounded amount; False at the end of what the other side sends.

        Raises:
            OSError: the other side is gone.
        """
        if self._start == self._end:  # as nearly always; what a large frame needed is given back
            self._start = self._end = 0
            self._buffer, room = self._own, self._front
        else:
            self._make_room()
            room = [memoryview(self._buffer)[self._end : self._end + _TURN]]
        try:
            count, ancillary, flags, _ = self._sock.recvmsg_into(room, _ANCILLARY, _FLAGS)
        except (BlockingIOError, InterruptedError):
            return True
        if ancillary:
            self._keep_descriptors(ancillary)
        if flags & _LOST:  # this process has as many as it may have
            self._descriptors.append(None)
        self._end += count
        return count > 0

    def next_frame(self) -> Frame | None:
        """The next frame that is there as a whole, or None. Its body is ``Unread`` where this
        process lacks what it takes to hold it.

        Raises:
            BrokenFrame: what came is none.
        """
        if self._end - self._start < HEADER_SIZE:
            return None
        header = decode_header(self._buffer, self._start)
        body, inline = self._start + HEADER_SIZE, header.inline
        if self._end - body < inline:
            return None
        self._start = body + inline
        try:
            if header.shared:
                data = self._map(header)
                value = unpack(data[header.payload :], data[: header.payload])
            else:  # slices are copies: the buffer is used again
                middle = body + header.payload
                value = unpack(self._buffer[middle : self._start], self._buffer[body:middle])
            return Frame(header.kind, header.call, value)
        except (MLServerError, MemoryError) as error:
            return Frame(header.kind, header.call, Unread(_explain(error)))
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
            descriptor = self._descriptors.popleft()
            if descriptor is not None:
                os.close(descriptor)

    def _map(self, header: Header) -> memoryview:
        if not self._descriptors:
            raise BrokenFrame("a frame came without its shared memory")
        descriptor = self._descriptors.popleft()
        if descriptor is None:
            raise Unavailable(
                "no shared memory for this call: the process has as many open files as it may have"
            )
        return map_shared(descriptor, header.metadata + header.payload)

    def _keep_descriptors(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                received = array.array("i")
                received.frombytes(data[: len(data) - len(data) % _INT])
                for descriptor in received:
                    self._descriptors.append(descriptor)
                    if not _FLAGS:
                        os.set_inheritable(descriptor, False)

    def _make_room(self) -> None:
        """Makes room for one turn behind what is there. The buffer grows with what came and not
        with what a header says.
        """
        left = self._end - self._start
        if len(self._buffer) - self._end >= _TURN:
            return
        kept = self._buffer[self._start : self._end]
        if left > len(self._buffer) - _TURN:
            self._buffer = bytearray(2 * len(self._buffer))
        self._buffer[:left] = kept
        self._start, self._end = 0, left


def _explain(error: MLServerError | MemoryError) -> MLServerError:
    if isinstance(error, MLServerError):
        return error
    return Unavailable("the process has no memory left for this call")
