"""Compressed messages (gRPC, "Compression"): each message for itself, gzip or deflate."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping

from mlserver_core.errors import InvalidRequest, MLServerError, TooLarge, Unsupported

#: zlib's window bits by encoding; gRPC's deflate is zlib's own format (RFC 1950).
_WINDOW = {"deflate": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}
#: What the server says it can read.
ACCEPTED = ", ".join(["identity", *_WINDOW])

#: Bytes that are given to, or taken from, zlib at a time.
_CHUNK = 2**16
#: Compressed bytes that are decompressed at once; at zlib's best ratio, 1032 to 1, that makes
#: 4 MiB in a few milliseconds. More is done in a thread, where it holds up no other call.
_FEW = 4096
#: Bytes below which a reply stays plain: it fits into one packet either way.
_WORTHWHILE = 1024
#: Bytes that are compressed at once, in about a millisecond; more is done in a thread.
_QUICK = 2**16
#: Tensors shrink hardly more at the higher levels, which take up to ten times as long.
_LEVEL = 1


def reply_encoding(headers: Mapping[str, str]) -> str | None:
    """How the replies of a call are compressed: as the client compresses, if it can read that."""
    encoding = headers.get("grpc-encoding", "")
    if encoding not in _WINDOW:
        return None
    readable = headers.get("grpc-accept-encoding", encoding).replace(" ", "").split(",")
    return encoding if encoding in readable else None


async def decompress(encoding: str | None, data: bytes, limit: int) -> bytes | bytearray:
    """The plain bytes of a message that is flagged as compressed.

    Args:
        encoding: what the call's headers say of it.
        data: the message.
        limit: bytes it may have when it is plain; -1 for no limit. No more memory than that
            and a chunk is taken, whatever the message would become.

    Raises:
        TooLarge: there is more in it.
        Unsupported: it is in another encoding.
        InvalidRequest: it is cut off, damaged, or more than one.
        MLServerError: INTERNAL, because the headers do not say that messages are compressed.
    """
    if encoding is None or encoding == "identity":
        raise MLServerError(
            "a message is flagged as compressed, but the call has no grpc-encoding that says how",
            status_code=500,
        )
    if encoding not in _WINDOW:
        raise Unsupported(
            f"messages in grpc-encoding {encoding!r} cannot be read; expected one of {ACCEPTED}"
        )
    if len(data) <= _FEW:
        return _inflate(encoding, data, limit)
    return await asyncio.to_thread(_inflate, encoding, data, limit)


async def compress(encoding: str, data: bytes) -> bytes | None:
    """``data`` compressed; None where that is not worth it."""
    if len(data) < _WORTHWHILE:
        return None
    if len(data) <= _QUICK:
        made = _deflate(encoding, data)
    else:
        made = await asyncio.to_thread(_deflate, encoding, data)
    return made if len(made) < len(data) else None


def _deflate(encoding: str, data: bytes) -> bytes:
    work = zlib.compressobj(_LEVEL, wbits=_WINDOW[encoding])
    return work.compress(data) + work.flush()


def _inflate(encoding: str, data: bytes, limit: int) -> bytearray:
    work = zlib.decompressobj(_WINDOW[encoding])
    plain = bytearray()
    try:
        for start in range(0, len(data), _CHUNK):
            if not work.eof:
                _inflate_chunk(work, data[start : start + _CHUNK], plain, limit)
            if work.eof and (work.unused_data or start + _CHUNK < len(data)):
                raise InvalidRequest(f"bytes follow the end of the {encoding} message")
    except zlib.error as error:
        raise InvalidRequest(f"the message is no {encoding}: {error}") from None
    if not work.eof:
        raise InvalidRequest(f"the {encoding} message is cut off")
    return plain


def _inflate_chunk(work: zlib._Decompress, data: bytes, plain: bytearray, limit: int) -> None:
    while True:
        made = work.decompress(data, _CHUNK)
        plain += made
        if 0 <= limit < len(plain):
            raise TooLarge(
                f"the message has more bytes than grpc_max_message_length ({limit}) "
                "when it is decompressed"
            )
        data = work.unconsumed_tail
        if work.eof or (not data and len(made) < _CHUNK):
            return
