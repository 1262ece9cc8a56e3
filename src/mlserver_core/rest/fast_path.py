"""Plain inference requests on a shorter way than the application's.

The router, the chain of middlewares and aiohttp's answers cost more than the rest of a small
request. What they do for an inference is decided here beforehand; the same functions run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import cast

from aiohttp import ClientConnectionResetError, HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.typedefs import Handler

from mlserver_core.rest.compression import SHORTEST, compress_answer
from mlserver_core.rest.errors import answer_errors
from mlserver_core.rest.infer import Answer, answer_inference, asked_model, make_response
from mlserver_core.rest.keys import ENGINE
from mlserver_core.rest.metrics import RestMetrics
from mlserver_core.rest.request_id import HEADER, header_value
from mlserver_core.settings import Settings

#: What a model may set in place of aiohttp; compared in lower case.
_REPLACEABLE = frozenset({"date", "server"})
#: Paths that mean what they say; those with anything to decode are left to the router.
_PATH = re.compile(r"/v2/models/([\w.~-]+)(?:/versions/([\w.~-]+))?/infer", re.ASCII)
_HEAD = (
    f"HTTP/1.1 200 OK\r\nServer: {SERVER_SOFTWARE}\r\nContent-Type: application/json\r\n{HEADER}: "
)


class FastPath:
    """Takes the requests of a server before its application does.

    Args:
        app: answers whatever else comes.
        routes: its routes of inference, without and with a version.
        settings: of the server.
        metrics: of the listener; None when nothing is counted.
    """

    def __init__(
        self,
        app: web.Application,
        routes: Sequence[web.AbstractRoute],
        settings: Settings,
        metrics: RestMetrics | None,
    ) -> None:
        self._app = app
        self._engine = app[ENGINE]
        self._routes = routes
        self._gzip = settings.gzip_enabled
        # Cross-origin headers are the application's affair, and so is an access log.
        self._on = settings.cors_settings is None and not settings.debug
        handler: Handler = partial(answer_errors, handler=self._infer)
        self._handler = handler if metrics is None else partial(metrics.count, handler=handler)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers a request, by itself or through the application."""
        match = self._match(request)
        if match is None:
            return await self._app._handle(request)  # noqa: SLF001  # as aiohttp's own server does
        request._match_info = match  # noqa: SLF001  # the application would do the same
        return await self._handler(request)

    def _match(self, request: web.Request) -> web.UrlMappingMatchInfo | None:
        """The route of an inference that needs nothing but its handler; None for any other."""
        found = _PATH.fullmatch(request.raw_path) if self._on else None
        if (
            found is None
            or request.method != hdrs.METH_POST
            or request.version != HttpVersion11
            or not request.keep_alive
            or hdrs.EXPECT in request.headers
        ):
            return None
        name, version = found.groups()
        variables = {"model_name": name}
        if version is not None:
            variables["model_version"] = version
        match = web.UrlMappingMatchInfo(variables, self._routes[version is not None])
        match.add_app(self._app)
        match.freeze()
        return match

    async def _infer(self, request: web.Request) -> web.StreamResponse:
        answer = await answer_inference(request, *asked_model(request))
        compressible = self._gzip and len(answer.body) >= SHORTEST
        replacing = not _REPLACEABLE.isdisjoint(map(str.lower, answer.headers))
        if compressible or replacing or answer.binary or self._engine.draining:
            response = make_response(answer)
            return await compress_answer(request, response) if self._gzip else response
        # aiohttp asks an answer for no more than _Written has.
        return cast("web.StreamResponse", _Written(request, answer))


class _Written:
    """An answer with status 200 that is written in one piece.

    Attributes:
        status: of HTTP.
        keep_alive: the connection stays.
    """

    __slots__ = ("_answer", "_request")

    status = 200
    keep_alive = True

    def __init__(self, request: web.Request, answer: Answer) -> None:
        self._request = request
        self._answer = answer

    async def prepare(self, _: web.BaseRequest) -> None:
        """Nothing is sent before the body."""

    async def write_eof(self) -> None:
        """Sends the answer; waits while the client takes too little of what it was sent.

        Raises:
            ConnectionError: the client is gone.
        """
        request, answer = self._request, self._answer
        body = answer.body
        lines = "".join([f"\r\n{name}: {value}" for name, value in answer.headers.items()])
        head = (
            f"{_HEAD}{header_value(answer.id)}{lines}\r\nContent-Length: {len(body)}\r\n"
            f"Date: {rfc822_formatted_time()}\r\n\r\n"
        )
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("the client has gone away")
        transport.write(b"".join((head.encode("ascii"), body)))
        await request.writer.drain()


FAST_PATH = web.AppKey("fast_path", FastPath)
