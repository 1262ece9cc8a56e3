"""Reads request bodies, decompressed and within the operator's limit."""

from __future__ import annotations

from aiohttp import hdrs, web

from mlserver_core.errors import MLServerError, TooLarge
from mlserver_core.rest.keys import BODY, ENGINE, MATCHED, READING
from mlserver_core.wire.binary import LENGTH_HEADER

#: What aiohttp decompresses, a bounded piece at a time.
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
#: How many pieces are kept apart; a body in small ones would take many times its size.
_MOST_PIECES = 1024
#: Bytes; what the elements of every datatype can be read at.
_ALIGNMENT = 16


async def read_body(request: web.Request) -> bytearray:
    """The whole body, decompressed. No more than ``max_body_size`` of its model is ever held,
    and twice that while its pieces are joined.

    A request that is answered in a worker brings a body that the server has read.

    Raises:
        TooLarge: it is larger than ``max_body_size``.
        MLServerError: 415, its content coding is not read here.
    """
    read: bytearray | None = request.get(BODY)
    if read is not None:
        return read
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if encoding not in _ENCODINGS:
        raise MLServerError(
            f"the request body has the content coding {encoding!r}; send it as gzip or "
            "deflate, or plain",
            415,
        )
    limit = body_limit(request)
    # Not request.read(): it decompresses as much as the limit at once, and copies the body. Nor
    # one bytearray: between the bodies of other requests it cannot grow without being copied.
    joined: list[bytes] = []
    pieces: list[bytes] = []
    size, too_large = 0, (request.content_length or 0) > limit
    with request.app[READING]:
        while not too_large and not request.content.at_eof():
            piece, _ = await request.content.readchunk()  # readany() joins what it has
            pieces.append(piece)
            size += len(piece)
            too_large = size > limit
            if len(pieces) == _MOST_PIECES:
                joined.append(b"".join(pieces))
                pieces = []
    if too_large:
        raise TooLarge(too_large_text(limit))
    return _join([*joined, *pieces], request.headers.get(LENGTH_HEADER, ""))


def _join(pieces: list[bytes], length: str) -> bytearray:
    """The body, in memory where binary tensors behind a JSON part of this length are aligned, so
    that an array may use them where they are.
    """
    padding = -int(length) % _ALIGNMENT if length.isdecimal() and len(length) < 20 else 0
    body = bytearray().join([bytes(padding), *pieces])
    del body[:padding]  # moves nothing: a bytearray keeps where it begins
    return body


def body_limit(request: web.Request) -> int:
    """Bytes that the body of a request may have: as its model says, or else the server."""
    engine = request.app[ENGINE]
    name = request.match_info.get("model_name")
    if name is not None:
        return engine.max_body_size(name, request.match_info.get("model_version"))
    route = request.get(MATCHED)
    if route is not None:
        return engine.max_body_size(route.model, route.version)
    return engine.settings.max_body_size


def too_large_text(limit: int) -> str:
    """What a client is told of a body above the limit."""
    return f"the request body is larger than max_body_size ({limit} bytes)"
