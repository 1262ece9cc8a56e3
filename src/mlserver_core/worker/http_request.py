"""HTTP requests as a custom handler gets them, made of what the server received."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_urldispatcher import MatchInfoError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from mlserver_core.errors import RuntimeFailed
from mlserver_core.executors.interfaces import HttpCall
from mlserver_core.rest.keys import BODY


class _Protocol(BaseProtocol):
    """Stands for the connection, which the server has."""

    ssl_context = peername = sockname = None
    #: Limits of the parts of a multipart body, as aiohttp has them by default.
    max_field_size = max_line_size = 8190
    max_headers = 128

    @property
    def transport(self) -> None:
        """Is asked for by websockets, and by handlers."""
        raise RuntimeFailed(
            "what needs the client's connection itself, as a websocket does, works only where the "
            'model lives in the server\'s process: set "parallel_workers": 0 for it'
        )

    @transport.setter
    def transport(self, value: None) -> None:
        """Has nothing to keep."""


def make_request(call: HttpCall, writer: AbstractStreamWriter, app: web.Application) -> web.Request:
    """The request as the handler would get it in the server's process.

    Args:
        call: what the server received; its body has been found small enough.
        writer: what an answer is written to that the handler begins itself.
        app: what the request has as its application.
    """
    loop = asyncio.get_running_loop()
    headers = CIMultiDictProxy(CIMultiDict(call.headers))
    message = RawRequestMessage(
        method=call.method,
        path=call.url,
        version=HttpVersion11,
        headers=headers,
        raw_headers=tuple(
            (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
            for name, value in call.headers
        ),
        should_close=False,
        compression=None,
        upgrade="upgrade" in headers,
        chunked=False,
        url=_to_url(call.url),
    )
    body = StreamReader(BaseProtocol(loop), limit=max(len(call.body), 1), loop=loop)
    if call.body:
        body.feed_data(call.body)
    body.feed_eof()
    request = web.Request(
        message,
        body,
        cast("Any", _Protocol(loop)),
        writer,
        cast("Any", asyncio.current_task()),
        loop,
        client_max_size=0,
        remote=call.remote,
    )
    request[BODY] = bytearray(call.body)
    # No route of the server fits, as is so for a custom handler in the server's process.
    match = MatchInfoError(web.HTTPNotFound())
    match.add_app(app)
    request._match_info = match  # noqa: SLF001  # aiohttp's own application sets it like this
    return request


def _to_url(text: str) -> URL:
    """As aiohttp reads it."""
    if not text.startswith("/"):
        return URL(text, encoded=True)
    path, _, rest = text.partition("#")[0].partition("?")
    return URL.build(path=path, query_string=rest, encoded=True)
