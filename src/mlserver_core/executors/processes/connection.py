"""Frames over a socket pair between two processes of this machine, on an event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

from mlserver_core.executors.processes.frames import BrokenFrame, Frame, Kind
from mlserver_core.executors.processes.receiving import FrameReader
from mlserver_core.executors.processes.refusals import Unread, replace_unread
from mlserver_core.executors.processes.sending import SendQueue, encode_frame

logger = logging.getLogger("mlserver")

#: The other side is gone; what it sent before that is still to be read, and then its end.
_GONE = (BrokenPipeError, ConnectionResetError)


class Connection:
    """One end of a socket pair. It belongs to the event loop it is made in.

    A body that was sent is done with: what has to wait is copied, so that its arrays may be used
    again as soon as ``send`` has returned. The arrays of a frame that came are writable and
    nobody else's.

    Args:
        sock: a connected stream socket of the family AF_UNIX, which the connection takes over.
        on_frame: is called with each frame, in order; what it raises closes the connection.
        on_closed: is called once, with the reason; None when this side closed or the other side
            did so in peace.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_frame: Callable[[Frame], None],
        on_closed: Callable[[Exception | None], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._queue = SendQueue(sock)
        self._reader = FrameReader(sock)
        self._closed = False
        self._broken: OSError | None = None
        self._waiting = False
        self._drained: list[asyncio.Future[None]] = []
        self._loop.add_reader(sock, self._read)

    @property
    def closed(self) -> bool:
        """Is it closed, by either side?"""
        return self._closed

    @property
    def pending_bytes(self) -> int:
        """What is queued because the other side does not read, shared memory included."""
        return self._queue.size

    def send(self, kind: Kind, call: int, body: Any = None) -> None:
        """Sends a frame, or queues what the socket does not take at once; never blocks.

        Raises:
            RuntimeFailed: ``body`` has what cannot be sent; says where. Nothing was sent.
            ConnectionError: the connection is closed, or the other side is gone.
        """
        if self._closed or self._broken is not None:
            raise self._ended()
        frame = encode_frame(kind, call, body)
        if self._waiting:
            self._queue.put(frame)
            return
        try:
            self._queue.send(frame)
        except OSError as error:
            self._fail(error)
            raise self._ended() from error
        if self._queue.size:
            self._wait()

    async def drain(self) -> None:
        """Returns when nothing is queued; raises ConnectionError when that can never be."""
        if self._closed or self._broken is not None:
            raise self._ended()
        if self._queue.size:
            drained = self._loop.create_future()
            self._drained.append(drained)
            await drained

    def close(self, error: Exception | None = None) -> None:
        """Ends the connection and drops what is queued; the second time does nothing.

        Args:
            error: what ``on_closed`` is to be told.
        """
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._stop_writing()
        self._reader.close()
        self._sock.close()
        self._on_closed(error)

    def _ended(self) -> ConnectionError:
        error = ConnectionError("the connection to the other process is closed")
        error.__cause__ = self._broken
        return error

    def _write(self) -> None:
        try:
            self._queue.write()
        except OSError as error:
            self._fail(error)
            return
        if not self._queue.size:
            self._end_waiting()
            _resolve(self._drained)

    def _fail(self, error: OSError) -> None:
        self._broken = error
        self._stop_writing()
        if not isinstance(error, _GONE):
            self._loop.call_soon(self.close, error)

    def _wait(self) -> None:
        self._waiting = True
        self._loop.add_writer(self._sock, self._write)

    def _end_waiting(self) -> None:
        if self._waiting:
            self._waiting = False
            self._loop.remove_writer(self._sock)

    def _stop_writing(self) -> None:
        self._end_waiting()
        self._queue.close()
        _resolve(self._drained, self._ended())

    def _read(self) -> None:
        try:
            more = self._reader.receive()
            while not self._closed and (frame := self._reader.next_frame()) is not None:
                self._deliver(frame)
        except (OSError, BrokenFrame, MemoryError) as error:  # the frame is lost with its memory
            self.close(self._broken or error)
            return
        if not more:
            self.close(self._broken or self._reader.unfinished())

    def _deliver(self, frame: Frame) -> None:
        try:
            if isinstance(frame.body, Unread):
                replacement = replace_unread(frame, self.send)
                if replacement is None:
                    return
                frame = replacement
            self._on_frame(frame)
        except Exception as error:
            logger.exception("A frame %s could not be handled", frame.kind.name)
            self.close(error)


def _resolve(waiters: list[asyncio.Future[None]], error: Exception | None = None) -> None:
    for waiter in waiters:
        if not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
    waiters.clear()
