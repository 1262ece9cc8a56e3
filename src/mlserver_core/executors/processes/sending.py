"""The way out of a connection: frames as bytes and descriptors, and the queue they wait in."""

from __future__ import annotations

import array
import errno
import os
import socket
from collections import deque
from typing import Any

import attrs

from mlserver_core.errors import RuntimeFailed
from mlserver_core.executors.processes.frames import (
    HEADER_SIZE,
    Header,
    Kind,
    decode_header,
    encode_header,
)
from mlserver_core.executors.processes.shared_memory import read_shared, write_shared
from mlserver_core.executors.processes.values import pack

#: Bytes of metadata and payload from which shared memory, whose pages the system has to find first,
#: is surely not dearer than the socket; benchmarks/README.md has the figures.
SHARED_FROM = 256 * 1024
#: Frames of one system call.
_MOST_FRAMES = 64
_BLOCKED = (BlockingIOError, InterruptedError)


@attrs.define
class Outgoing:
    """What is left to send of a frame.

    Attributes:
        data: for the socket.
        descriptor: of shared memory; goes with the first byte.
        shared: bytes of that memory.
    """

    data: Any
    descriptor: int | None = None
    shared: int = 0

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.data) + self.shared

    def close(self) -> None:
        """Gives the descriptor back."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def encode_frame(kind: Kind, call: int, body: Any) -> Outgoing:
    """A frame in bytes of its own; nothing of ``body`` is needed any more.

    Raises:
        RuntimeFailed: ``body`` has what cannot be sent, or is too large.
    """
    metadata, buffers = pack(body)
    payload = sum(map(len, buffers))
    buffers.append(metadata)
    try:
        if payload + len(metadata) >= SHARED_FROM:
            header = Header(kind, call, len(metadata), payload, shared=True)
            try:
                descriptor = write_shared(buffers)
            except OSError:  # no memory, or a limit of the process: the socket has neither
                pass
            else:
                return Outgoing(encode_header(header), descriptor, payload + len(metadata))
        header = Header(kind, call, len(metadata), payload, shared=False)
        return Outgoing(b"".join((encode_header(header), *buffers)))
    except (OverflowError, MemoryError) as error:
        raise RuntimeFailed(f"a value cannot be sent to another process: {error}") from None


class SendQueue:
    """Frames that a socket has not taken yet.

    Attributes:
        size: bytes that they hold.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._frames: deque[Outgoing] = deque()
        self.size = 0

    def put(self, frame: Outgoing) -> None:
        """Adds a frame to the end."""
        self._frames.append(frame)
        self.size += frame.size

    def send(self, frame: Outgoing) -> None:
        """Sends a frame, or adds what the socket does not take now.

        Raises:
            OSError: the other side is gone.
        """
        if self._frames or frame.descriptor is not None:
            self.put(frame)
            self.write()
            return
        try:  # as nearly every frame goes: nothing waits, and the socket takes it all
            sent = self._sock.send(frame.data)
        except _BLOCKED:
            sent = 0
        if sent < len(frame.data):
            self.put(frame)
            self._drop(sent)

    def write(self) -> None:
        """Sends what the socket takes now.

        Raises:
            OSError: the other side is gone.
        """
        try:
            while self._frames:
                self._write_some()
        except _BLOCKED:
            return

    def close(self) -> None:
        """Drops the frames."""
        for frame in self._frames:
            frame.close()
        self._frames.clear()
        self.size = 0

    def _write_some(self) -> None:
        first = self._frames[0]
        if first.descriptor is not None:
            self._write_shared(first)
        elif len(self._frames) == 1:
            self._drop(self._sock.send(first.data))
        else:
            self._drop(self._sock.sendmsg(self._plain_run()))

    def _plain_run(self) -> list[Any]:
        run: list[Any] = []
        for frame in self._frames:
            if frame.descriptor is not None or len(run) == _MOST_FRAMES:
                break
            run.append(frame.data)
        return run

    def _write_shared(self, frame: Outgoing) -> None:
        rights = array.array("i", [frame.descriptor or 0])
        try:
            sent = self._sock.sendmsg(
                [frame.data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            )
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            self._make_inline(frame)
            return
        self.size -= frame.shared
        frame.shared = 0
        frame.close()
        self._drop(sent)

    def _make_inline(self, frame: Outgoing) -> None:
        """The bytes themselves, where the system lets no more descriptors be under way."""
        data = read_shared(frame.descriptor or 0, frame.shared)
        header = decode_header(frame.data, 0)._replace(shared=False)
        frame.close()
        frame.shared = 0
        frame.data = encode_header(header) + data
        self.size += len(frame.data) - HEADER_SIZE - len(data)

    def _drop(self, sent: int) -> None:
        """Forgets what was sent."""
        self.size -= sent
        while sent:
            first = self._frames[0]
            if sent < len(first.data):
                first.data = memoryview(first.data)[sent:]
                return
            sent -= len(first.data)
            self._frames.popleft()
