"""Plain inference requests on a shorter way than the application's.

The router, the chain of middlewares and aiohttp's answers cost more than the rest of a small
request. What they do for an inference is decided here beforehand; the same functions run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, cast

from aiohttp import ClientConnectionResetError, HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.typedefs import Handler

from mlserver_core.errors import TooLarge
from mlserver_core.rest.body import too_large_text
from mlserver_core.rest.compression import SHORTEST, compress_answer
from mlserver_core.rest.errors import answer_error
from mlserver_core.rest.infer import (
    Answer,
    answer_inference,
    make_response,
    read_headers,
    to_answer,
)
from mlserver_core.rest.keys import ENGINE
from mlserver_core.rest.metrics import CLIENT_LEFT, RestMetrics
from mlserver_core.rest.open_calls import OPEN_CALLS
from mlserver_core.rest.request_id import HEADER, header_value, name_request, request_id
from mlserver_core.rest.request_timeout import read_deadline
from mlserver_core.settings import Settings
from mlserver_core.types.context import RequestContext
from mlserver_core.types.request_ids import make_request_id
from mlserver_core.wire.binary import LENGTH_HEADER, decode_request

#: What a model may set in place of aiohttp; compared in lower case.
_REPLACEABLE = frozenset({"date", "server"})
_ID = HEADER.lower()
#: Headers of requests whose bodies are read in another way; in lower case.
_NEEDS_MORE = frozenset({"content-encoding", LENGTH_HEADER.lower()})
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
        self._others: Handler
        self._engine = app[ENGINE]
        self._open_calls = app[OPEN_CALLS]
        self._routes = routes
        self._paths = [cast("web.Resource", route.resource).canonical for route in routes]
        self._metrics = metrics
        self._gzip = settings.gzip_enabled
        # Cross-origin headers are the application's affair, and so is an access log. An aiohttp
        # that keeps its routes in another place goes its own way.
        known = hasattr(web.Request, "_match_info")
        self._on = known and settings.cors_settings is None and not settings.debug

    def take_over(self, server: web.Server) -> None:
        """Takes the requests of aiohttp's server, which gets back those that are not taken."""
        self._others = cast("Handler", server.request_handler)
        server.request_handler = cast("Any", self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers a request, by itself or through the application."""
        model = self._model_of(request)
        if model is None:
            return await self._others(request)
        if self._metrics is None:
            return await self._answer(request, *model)
        status = 500
        started = self._metrics.begin(hdrs.METH_POST)
        try:
            answer = await self._answer(request, *model)
            status = answer.status
            return answer
        except asyncio.CancelledError:
            status = CLIENT_LEFT
            raise
        finally:
            path = self._paths[model[1] is not None]
            self._metrics.end(hdrs.METH_POST, path, status, started)

    def _model_of(self, request: web.Request) -> tuple[str, str | None] | None:
        """Name and version of the model of an inference that needs nothing but its handler; None
        for any other request.
        """
        found = _PATH.fullmatch(request.raw_path) if self._on else None
        if (
            found is None
            or request.method != hdrs.METH_POST
            or request.version != HttpVersion11
            or not request.keep_alive
            or hdrs.EXPECT in request.headers
        ):
            return None
        return found[1], found[2]

    def _route(self, request: web.Request, name: str, version: str | None) -> None:
        """Tells a request its route, as the application's router would."""
        variables = {"model_name": name}
        if version is not None:
            variables["model_version"] = version
        match = web.UrlMappingMatchInfo(variables, self._routes[version is not None])
        match.add_app(self._app)
        match.freeze()
        request._match_info = match  # noqa: SLF001

    async def _answer(
        self, request: web.Request, name: str, version: str | None
    ) -> web.StreamResponse:
        context = None
        try:
            headers = read_headers(request)
            if request.content.is_eof() and _NEEDS_MORE.isdisjoint(headers):
                deadline = read_deadline(headers)
                context = RequestContext(transport="rest", headers=headers, deadline=deadline)
                answer = await self._infer(request, name, version, context)
            else:
                self._route(request, name, version)
                answer = await answer_inference(request, name, version)
            if self._is_plain(answer):
                # aiohttp asks an answer for no more than _Written has.
                return cast("web.StreamResponse", _Written(request, answer))
            self._route(request, name, version)
            response: web.StreamResponse = make_response(answer)
        except Exception as error:  # noqa: BLE001  # told to the client and the log
            self._route(request, name, version)
            if context is not None:
                name_request(request, context.request_id)
            response = await answer_error(request, error)
        return await compress_answer(request, response) if self._gzip else response

    async def _infer(
        self, request: web.Request, name: str, version: str | None, context: RequestContext
    ) -> Answer:
        """The answer to a request without binary tensors whose body is there already."""
        body = request.content.read_nowait()
        limit = self._engine.max_body_size(name, version)
        if len(body) > limit:
            raise TooLarge(too_large_text(limit))
        inference, wanted = decode_request(body, context.headers)
        if _ID in context.headers:
            inference.id = name_request(request, inference.id)
            shown = request_id(request)
        else:
            shown = inference.id = context.request_id = inference.id or make_request_id()
        with self._open_calls:
            response = await self._engine.infer(name, version, inference, context)
        return to_answer(shown, response, wanted)

    def _is_plain(self, answer: Answer) -> bool:
        """Does an answer go out with the usual headers?"""
        compressible = self._gzip and len(answer.body) >= SHORTEST
        replacing = not _REPLACEABLE.isdisjoint(map(str.lower, answer.headers))
        return not (compressible or replacing or answer.binary or self._engine.draining)


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
        if request.protocol.writing_paused:
            await request.writer.drain()


FAST_PATH = web.AppKey("fast_path", FastPath)
