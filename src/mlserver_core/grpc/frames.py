"""Reads the frames of a connection (RFC 9113, section 4) without keeping what they carry."""

from __future__ import annotations

import struct
from typing import Any

from h2.connection import H2Connection
from h2.frame_buffer import FrameBuffer
from hyperframe.frame import DataFrame, Frame, HeadersFrame

#: A frame's length, in 16 and 8 bits, its kind, flags and stream.
PREFIX = struct.Struct(">HBBBL")
_HEADER = PREFIX.size
_DATA, _HEADERS = 0, 1
_END_STREAM, _END_HEADERS = 0x1, 0x4
_ENDS = frozenset({"END_STREAM"})
_NOTHING: frozenset[str] = frozenset()
_NO_DATA = memoryview(b"")


class _Data(DataFrame):
    """A piece of a DATA frame, or a whole one.

    hyperframe's own frame makes sets of its flags, and h2 asks every frame for its ``repr``,
    which is a hex dump of the payload, for a log that is off.
    """

    def __init__(self, stream_id: int, data: Any, *, ends: bool) -> None:
        self.stream_id = stream_id
        self.data = data
        self.body_len = len(data)
        self.pad_length = 0
        self.flags = _ENDS if ends else _NOTHING  # type: ignore[assignment]  # h2 only looks in it

    def __repr__(self) -> str:
        return "DATA"


class _Headers(HeadersFrame):
    """A HEADERS frame that has all headers, no priority and no padding."""

    def __init__(self, stream_id: int, data: bytes, *, ends: bool) -> None:
        self.stream_id = stream_id
        self.data = data
        self.body_len = len(data)
        self.pad_length = 0
        self.flags = _ENDS if ends else _NOTHING  # type: ignore[assignment]  # h2 only looks in it

    def __repr__(self) -> str:
        return "HEADERS"


class FrameReader(FrameBuffer):
    """h2's buffer of incoming bytes, which hands DATA on as it comes.

    h2 waits for a whole frame and copies its payload four times. Here a DATA frame becomes as
    many as there are reads of it, so no payload is kept, and none copied but where a small
    piece would keep a large read alive. Frames of other kinds, and padded ones, are h2's work.
    """

    def __init__(self) -> None:
        super().__init__(server=True)
        self._view = _NO_DATA
        self._at = 0
        self._needed = 0
        self._left = 0
        self._stream = 0
        self._ends = False
        self._overlong = 0

    def add_data(self, data: Any) -> None:
        """Takes what the socket gave; everything before has been iterated over."""
        if self._preamble_len or self._data:
            super().add_data(data)
            if len(self._data) < self._needed:
                return
            data = bytes(self._data)
            self._data.clear()
        self._view, self._at = memoryview(data), 0

    def __next__(self) -> Frame:
        while True:
            if self._left:
                return self._piece()
            view, at = self._view, self._at
            if not view:  # there is too little yet, and it is kept
                raise StopIteration
            if len(view) - at < _HEADER:
                self._wait(_HEADER)
            high, low, kind, flags, stream = PREFIX.unpack_from(view, at)
            length, stream = high << 8 | low, stream & 0x7FFFFFFF
            plain = bool(stream) and not self._headers_buffer
            if length > self.max_frame_size:
                self._left = self._overlong = length
                self._at += _HEADER
            elif kind == _DATA and plain and flags <= _END_STREAM:
                self._at += _HEADER
                if not length:
                    return _Data(stream, b"", ends=bool(flags))
                self._left, self._stream, self._ends = length, stream, bool(flags)
            else:
                return self._whole(length, kind, flags, stream if plain else 0)

    def _piece(self) -> Frame:
        """What there is of a DATA frame; of one that is too long, nothing."""
        view, at = self._view, self._at
        size = min(self._left, len(view) - at)
        if not size:
            self._wait(0)
        self._at += size
        self._left -= size
        if self._overlong:
            if not self._left:  # read to its end, or the client would not get to know the reason
                self._validate_frame_length(self._overlong)
            self._wait(0)
        data: memoryview | bytes = view[at : at + size]
        if size * 2 < len(view):
            data = bytes(data)
        return _Data(self._stream, data, ends=self._ends and not self._left)

    def _whole(self, length: int, kind: int, flags: int, stream: int) -> Frame:
        """A frame that is only of use when all of it is there."""
        view, at = self._view, self._at
        end = at + _HEADER + length
        if len(view) < end:
            self._wait(_HEADER + length)
        self._at = end
        if stream and kind == _HEADERS and flags & ~_END_STREAM == _END_HEADERS:
            block = bytes(view[at + _HEADER : end])
            return _Headers(stream, block, ends=bool(flags & _END_STREAM))
        self._data += view[at:end]
        return super().__next__()

    def _wait(self, needed: int) -> None:
        """Keeps what is left of the last read until there are ``needed`` bytes."""
        self._data += self._view[self._at :]
        self._needed = needed
        self._view, self._at = _NO_DATA, 0
        raise StopIteration


def read_frames(connection: H2Connection) -> None:
    """Lets a connection, which has read nothing yet, read its frames with ``FrameReader``.

    A version of h2 that is built in another way keeps its own, which is slower.
    """
    table = getattr(connection, "_frame_dispatch_table", None)
    own = getattr(connection, "incoming_buffer", None)
    names = ("_data", "_preamble_len", "_headers_buffer", "_validate_frame_length")
    if table is None or not all(hasattr(own, name) for name in names):
        return
    table[_Data], table[_Headers] = table[DataFrame], table[HeadersFrame]
    connection.incoming_buffer = FrameReader()
