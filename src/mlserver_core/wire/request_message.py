"""Takes the raw contents out of a ModelInferRequest before protobuf copies them."""

from __future__ import annotations

from typing import Any

import attrs

from mlserver_core.wire.raw import Buffer

#: Bytes below which a message is parsed sooner than it is looked through.
_LARGE = 2**16
#: Fields that are looked at. A message of more, all of them tiny, is protobuf's alone.
_MOST_FIELDS = 256
#: The wire type of what has a length (protobuf encoding), and the tag of raw_input_contents.
_LENGTH = 2
_RAW_INPUT_CONTENTS = 7 << 3 | _LENGTH


@attrs.frozen
class RequestMessage:
    """A ModelInferRequest.

    Attributes:
        message: the upb message; it may lack the raw contents.
        raw: a buffer per input; none when the contents are typed. One that makes up most of its
            message is writable where the message's bytes are.
    """

    message: Any
    raw: list[Buffer]


@attrs.frozen
class RequestReader:
    """What grpclib's handlers take for the class of a ModelInferRequest.

    Attributes:
        message_type: the upb class.
    """

    message_type: Any

    def FromString(self, data: Buffer | bytearray) -> RequestMessage:  # noqa: N802  # as protobuf
        """The request in some bytes; raises DecodeError when they are none."""
        found = _find_raw(memoryview(data)) if len(data) >= _LARGE else None
        if found is None:
            message = self.message_type.FromString(data)
            return RequestMessage(message, list(message.raw_input_contents))
        rest, raw = found
        return RequestMessage(self.message_type.FromString(rest), raw)


def _find_raw(data: memoryview) -> tuple[bytes, list[Buffer]] | None:
    """The bytes without the raw contents, and those; None where protobuf should judge."""
    at = start = 0
    rest: list[memoryview] = []
    raw: list[Buffer] = []
    for _ in range(_MOST_FIELDS):
        if at == len(data):
            rest.append(data[start:])
            return b"".join(rest), raw
        tag = data[at]
        begin, size = _read_length(data, at + 1)
        end = begin + size
        if tag & 0x87 != _LENGTH or not begin or end > len(data):
            return None
        if tag == _RAW_INPUT_CONTENTS:
            rest.append(data[start:at])
            buffer = data[begin:end]
            # A small tensor that is kept must not keep its message.
            raw.append(buffer if size * 2 > len(data) else buffer.toreadonly())
            start = end
        at = end
    return None


def _read_length(data: memoryview, at: int) -> tuple[int, int]:
    """Where a field begins that has a length, and the length; 0 and 0 where none can be read."""
    size = 0
    for shift, byte in enumerate(data[at : at + 5]):
        size |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return at + shift + 1, size
    return 0, 0
