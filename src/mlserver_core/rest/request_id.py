"""The id of a request: what its headers or its body say, or a new one."""

from __future__ import annotations

from aiohttp import web

from mlserver_core.types.request_ids import make_request_id
from mlserver_core.wire.headers import percent_encode

HEADER = "X-Request-ID"
_KEY = web.RequestKey("request_id", str)
#: Characters of an id in a header; clients refuse longer lines than some thousands.
_LONGEST = 1024


def request_id(request: web.Request) -> str:
    """The id that the header names the request by, or one that is made for it."""
    id: str | None = request.get(_KEY)
    if id is None:
        sent = request.headers.get(HEADER, "").encode("utf-8", "surrogateescape")
        id = request[_KEY] = sent.decode("utf-8", "replace") or make_request_id()
    return id


def name_request(request: web.Request, id: str | None) -> str:
    """The id of a request whose body says ``id``: that one, or that of the header, or a new one.

    An answer repeats the header, where there is one, so that whoever sent it finds it again.
    """
    if HEADER in request.headers:
        return id or request_id(request)
    request[_KEY] = id = id or make_request_id()
    return id


def header_value(id: str) -> str:
    """An id as a header carries it; nothing in it can end the header."""
    cut = id[:_LONGEST]
    if cut.isascii() and cut.isprintable():
        return cut
    return percent_encode(cut)[:_LONGEST]


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Puts the id in front of every answer; runs before its headers are sent."""
    response.headers[HEADER] = header_value(request_id(request))
