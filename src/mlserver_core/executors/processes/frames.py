"""What server and worker say to each other, one frame at a time.

A frame is a header of fixed size, the metadata (JSON) and the payload (raw bytes of tensors). A
large frame is a header and one descriptor, of shared memory that holds payload and metadata.
"""

from __future__ import annotations

import enum
import struct
from typing import Any, NamedTuple

#: Raised with every change of what server and worker say to each other, fields of the settings
#: included: a worker may come from another release, in an environment of its model. What must
#: stay readable for all of them is the header, and the bodies of INIT and HELLO.
PROTOCOL = 1

#: Sync mark, kind, flags, call, bytes of metadata, bytes of payload.
_HEADER = struct.Struct("<HBBxxxxQQQ")
HEADER_SIZE = _HEADER.size
_SYNC = 0xF7A3
_SHARED = 1
#: Bytes of metadata and payload; more is no frame of ours.
_LARGEST = 1 << 40
#: The same, of what comes through the socket itself.
_LARGEST_INLINE = 1 << 32


class Kind(enum.IntEnum):
    """What a frame is for; the comment says who sends it, and its body."""

    #: Server: the first frame; ``greeting.make_init``.
    INIT = 1
    #: Server: load a model.
    LOAD = 2
    #: Server: unload a model.
    UNLOAD = 3
    #: Server: one request.
    PREDICT = 4
    #: Server: a stream of requests begins.
    STREAM = 5
    #: Server: another method of the model.
    CALL = 6
    #: Server: a custom handler.
    EXCHANGE = 7
    #: Server: the next item of a stream or an exchange is wanted.
    NEXT = 8
    #: Server: the request that a ``WANT`` asked for.
    INPUT = 9
    #: Server: there is no further request.
    INPUT_END = 10
    #: Server: the next request cannot be had; an error.
    INPUT_ERROR = 11
    #: Server: nobody waits for this call any more.
    CANCEL = 12
    #: Server: unload everything and end.
    STOP = 13
    #: Worker: what the call gave; it is over.
    RESULT = 14
    #: Worker: what went wrong; the call is over.
    ERROR = 15
    #: Worker: one item of a stream or an exchange.
    ITEM = 16
    #: Worker: there are no more items; the call is over.
    END = 17
    #: Worker: the model asks for the next request of its stream.
    WANT = 18
    #: Worker: a model says of itself that it is ready, or not.
    READY = 19
    #: Worker: a log record.
    LOG = 20
    #: Worker: what a model counted.
    METRICS = 21
    #: Worker: the answer to ``INIT``; ``greeting.make_hello``.
    HELLO = 22


#: By number; to ask the enumeration itself takes longer than all else in a header.
_KINDS = {int(kind): kind for kind in Kind}


class Frame(NamedTuple):
    """One message; a tuple, since it is made sooner than other frozen things.

    Attributes:
        kind: what it is for.
        call: the id of the call it belongs to; 0 for none.
        body: plain values, arrays, and the types that ``values`` knows.
    """

    kind: Kind
    call: int
    body: Any


class BrokenFrame(Exception):
    """What came is no frame; the connection cannot be used any further."""


class Header(NamedTuple):
    """How a frame begins.

    Attributes:
        kind: what it is for.
        call: the id of the call it belongs to.
        metadata: bytes of JSON.
        payload: bytes of tensors.
        shared: are both in the shared memory whose descriptor comes with it?
    """

    kind: Kind
    call: int
    metadata: int
    payload: int
    shared: bool

    @property
    def inline(self) -> int:
        """Bytes that follow the header in the socket."""
        return 0 if self.shared else self.metadata + self.payload


def encode_header(header: Header) -> bytes:
    """The bytes of a header; raises OverflowError for more than a frame can hold."""
    kind, call, metadata, payload, shared = header
    if metadata + payload > (_LARGEST if shared else _LARGEST_INLINE):
        raise OverflowError(f"a frame of {metadata + payload} bytes is too large")
    return _HEADER.pack(_SYNC, kind, _SHARED if shared else 0, call, metadata, payload)


def decode_header(data: bytes | bytearray | memoryview, offset: int) -> Header:
    """The header at ``offset``.

    Raises:
        BrokenFrame: it cannot be one.
    """
    sync, number, flags, call, metadata, payload = _HEADER.unpack_from(data, offset)
    kind = _KINDS.get(number)
    if kind is None:
        raise BrokenFrame(f"expected a kind of frame, got {number}")
    if sync != _SYNC or flags not in (0, _SHARED):
        raise BrokenFrame(f"expected the header of a frame, got {bytes(data[offset:][:4])!r}")
    if metadata + payload > (_LARGEST if flags else _LARGEST_INLINE):
        raise BrokenFrame(f"no frame has {metadata} bytes of metadata and {payload} of payload")
    return Header(kind, call, metadata, payload, flags == _SHARED)
