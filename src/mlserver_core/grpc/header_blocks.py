"""Header blocks (RFC 7541) of a connection whose calls have nearly all of them in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from h2.connection import H2Connection
from hpack import Decoder, Encoder
from hpack.struct import HeaderTuple

#: Blocks that are remembered, and the bytes of the largest.
_MOST_BLOCKS, _LARGEST_BLOCK = 64, 1024
#: Names whose last value is remembered.
_MOST_NAMES = 64
#: Values that no table of an intermediary may keep (RFC 7541, section 7.1.3).
_SECRET = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"})
_WITHOUT_INDEXING = b"\x00"


class BlockEncoder(Encoder):
    """Makes a header part of the table once it is sent twice running, and then knows its bytes.

    hpack puts every header into the table, which those that differ with each call, such as an
    id, fill in no time; and it looks through the table for each.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Any, bytes] = {}
        self._last: dict[bytes, bytes] = {}

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:  # noqa: FBT001, FBT002  # hpack's
        """The block of some headers, whose names are lower case."""
        begin = b""
        if self.header_table.resized:  # the block must begin with the new size
            self._known.clear()
            begin = super().encode([], huffman)
        known = self._known
        return begin + b"".join([known.get(each) or self._learn(each) for each in headers])

    def _learn(self, header: tuple[bytes | str, bytes | str]) -> bytes:
        name, value = (text if isinstance(text, bytes) else text.encode() for text in header)
        if name in _SECRET:
            return self.add((name, value), sensitive=True)
        if self._last.get(name) != value:
            if len(self._last) >= _MOST_NAMES:
                self._last.clear()
            self._last[name] = value
            return _WITHOUT_INDEXING + _string(name) + _string(value)
        found = self.header_table.search(name, value)
        if found is None or found[2] is None:
            self._known.clear()  # what is added gives the others new numbers
            return self.add((name, value), sensitive=False)
        block = self._known[header] = self._encode_indexed(found[0])
        return block


class BlockDecoder(Decoder):
    """Remembers blocks that left the table alone, for as long as the table stays as it is."""

    def __init__(self, max_header_list_size: int) -> None:
        super().__init__(max_header_list_size)
        self._known: dict[bytes, list[HeaderTuple]] = {}

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:  # noqa: FBT001, FBT002  # hpack's
        """The headers of a block."""
        known = self._known.get(data) if raw else None
        if known is not None:
            return known
        before = self._table()
        headers = list(super().decode(data, raw))
        if self._table() != before:
            self._known.clear()
        elif raw and len(data) <= _LARGEST_BLOCK:
            if len(self._known) >= _MOST_BLOCKS:
                self._known.clear()
            self._known[data] = headers
        return headers

    def _table(self) -> tuple[int, list[Any]]:
        return self.header_table.maxsize, list(self.header_table.dynamic_entries)


class CheckedHeaders:
    """What h2 makes of the headers of a call, for those it had before."""

    def __init__(self, check: Callable[..., list[Any]]) -> None:
        """For the calls of one connection.

        Args:
            check: what h2 does with headers: decoding, and the checks that its settings ask for.
        """
        self._check = check
        self._known: dict[Any, list[Any]] = {}

    def __call__(self, headers: Iterable[HeaderTuple], flags: Any, encoding: Any) -> list[Any]:
        """The headers as h2 makes them; raises what it raises."""
        key = (*headers, flags)
        known = self._known.get(key)
        if known is None:
            known = self._check(headers, flags, encoding)
            if sum(len(name) + len(value) for name, value in known) <= _LARGEST_BLOCK:
                if len(self._known) >= _MOST_BLOCKS:
                    self._known.clear()
                self._known[key] = known
        return known


def remember_blocks(connection: H2Connection, largest_list: int) -> None:
    """Gives a connection, which has read nothing yet, an encoder and a decoder of ours.

    With a version of hpack that is built in another way it keeps its own, which are slower.

    Args:
        connection: of a server.
        largest_list: bytes that the headers of a block may have (RFC 9113, section 6.5.2).
    """
    own = connection.encoder
    table = getattr(own, "header_table", None)
    if hasattr(own, "_encode_indexed") and hasattr(table, "search") and hasattr(table, "resized"):
        connection.encoder = BlockEncoder()
    table = getattr(connection.decoder, "header_table", None)
    if hasattr(table, "dynamic_entries") and hasattr(table, "maxsize"):
        connection.decoder = BlockDecoder(largest_list)


def _string(text: bytes) -> bytes:
    """A string literal, plain (RFC 7541, section 5.2)."""
    size = len(text)
    if size < 0x7F:
        return bytes((size,)) + text
    prefix = bytearray((0x7F,))
    size -= 0x7F
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + text
