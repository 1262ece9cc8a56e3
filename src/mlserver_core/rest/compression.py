"""Answers in gzip, for clients that ask for it."""

from __future__ import annotations

import asyncio
import gzip
import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mlserver_core.rest.vary import add_vary

#: Bytes; shorter answers gain nothing.
SHORTEST = 500
#: Bytes; compressing more than this would hold up every other request.
_LARGE = 32 * 2**10
#: The best of speed and size for numbers as text.
_LEVEL = 5
_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


@web.middleware
async def compress(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compresses whole answers; streams, whose events must not wait, are left alone."""
    return await compress_answer(request, await handler(request))


async def compress_answer(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """The answer, compressed if that is worth it and the client asks for it."""
    if not isinstance(answer, web.Response) or answer.prepared:
        return answer
    if hdrs.CONTENT_ENCODING in answer.headers or answer.compression:
        return answer  # a custom handler sees to it itself
    body = answer.body
    if not isinstance(body, (bytes, bytearray)) or len(body) < SHORTEST:
        return answer
    add_vary(answer, hdrs.ACCEPT_ENCODING)
    if not accepts_gzip(request.headers.getall(hdrs.ACCEPT_ENCODING, ())):
        return answer
    if len(body) > _LARGE:
        answer.body = await asyncio.to_thread(gzip.compress, body, _LEVEL)
    else:
        answer.body = gzip.compress(body, _LEVEL)
    answer.headers[hdrs.CONTENT_ENCODING] = "gzip"
    answer.headers.pop(hdrs.CONTENT_LENGTH, None)  # a custom handler's own, of the plain body
    return answer


def accepts_gzip(values: list[str] | tuple[str, ...]) -> bool:
    """Does a client prefer gzip to no compression (RFC 9110, section 12.5.3)?

    Args:
        values: of its Accept-Encoding headers.
    """
    qualities: dict[str, float] = {}
    for item in ",".join(values).split(","):
        coding, _, parameter = item.partition(";")
        found = _QUALITY.fullmatch(parameter.strip())
        if parameter.strip() and not found:
            continue
        qualities[coding.strip().lower()] = float(found[1]) if found else 1.0
    gzipped = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzipped > 0 and gzipped >= qualities.get("identity", 0.0)
