"""Custom handlers of models in this process, called with HTTP requests that the server received."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from weakref import WeakKeyDictionary

import attrs
from aiohttp import hdrs, web

from mlserver_core.engine.model_table import Serving
from mlserver_core.engine.route_table import Route
from mlserver_core.errors import ModelNotReady
from mlserver_core.executors.interfaces import HttpAnswer, HttpCall
from mlserver_core.rest.handler_answers import PASSING, PLANS, answer_of, note_begun, plan_of
from mlserver_core.types.context import RequestContext
from mlserver_core.worker.http_pieces import Pieces, pairs
from mlserver_core.worker.http_request import make_request


def make_app() -> web.Application:
    """What requests to handlers find as their application; one for all of them."""
    app = web.Application()
    app[PLANS] = WeakKeyDictionary()
    app.on_response_prepare.append(note_begun)
    app.freeze()
    return app


@attrs.define(eq=False)
class Exchange:
    """One call of a custom handler.

    Attributes:
        app: that ``make_app`` has made.
        serving: what answers for the model.
        handler: the name of the model's method.
        call: the HTTP request.
        context: where it comes from.
    """

    app: web.Application
    serving: Serving
    handler: str
    call: HttpCall
    context: RequestContext

    async def pieces(self) -> AsyncGenerator[HttpAnswer | bytes, None]:
        """The answer, and the pieces of its body where it is not complete. The handler begins
        when the first is asked for, and waits with each piece until the one before is taken.

        Raises:
            MLServerError: it failed.
        """
        pieces = Pieces()
        task = asyncio.ensure_future(self._run(pieces))
        task.add_done_callback(lambda _: pieces.end())
        try:
            async for piece in pieces:
                yield piece
            rest = await task
            if rest is not None:
                yield rest
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, pieces: Pieces) -> HttpAnswer | None:
        """Calls the handler; returns an answer that is complete, and has written any other."""
        request = make_request(self.call, pieces, self.app)
        route = self._route()
        arguments = await plan_of(self.app, route).bind(request, self.call.variables)
        try:
            result = await self.serving.call(self.handler, arguments, self.context, PASSING)
        except web.HTTPException as raised:
            return attrs.evolve(_whole(raised), raised=True)
        answer = answer_of(request, result, route)
        whole = None
        if isinstance(answer, web.Response) and _is_plain(answer):
            whole = _whole(answer)
            pieces.mute()  # it counts as sent from here on, as it would in the server
        await answer.prepare(request)
        await answer.write_eof()
        return whole

    def _route(self) -> Route:
        """The mark of the method that fits the call; marks that differ in nothing but the path
        bind arguments alike.
        """
        method = "GET" if self.call.method == "HEAD" else self.call.method
        names = set(self.call.variables)
        for route in self.serving.routes:
            fits = route.handler == self.handler and route.custom.rest_method == method
            if fits and set(route.variables) == names:
                return route
        raise ModelNotReady(self.serving.model.name, self.serving.model.version)


def _is_plain(answer: web.Response) -> bool:
    """Is it all there, and nothing that aiohttp would have to do to it?"""
    is_known = answer.body is None or isinstance(answer.body, (bytes, bytearray))
    return is_known and not (answer.prepared or answer.compression or answer.chunked)


def _whole(answer: web.Response) -> HttpAnswer:
    body: Any = answer.body or b""
    headers = pairs(answer.headers)
    headers += tuple(
        (str(hdrs.SET_COOKIE), cookie.OutputString()) for cookie in answer.cookies.values()
    )
    if answer.keep_alive is False:
        headers += ((str(hdrs.CONNECTION), "close"),)
    return HttpAnswer(status=answer.status, reason=answer.reason, headers=headers, body=bytes(body))
