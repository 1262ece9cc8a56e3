"""Calls of custom handlers whose model lives in another process."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from functools import partial

from aiohttp import hdrs, web
from multidict import CIMultiDict

from mlserver_core.engine.route_table import RouteMatch
from mlserver_core.errors import InternalError
from mlserver_core.executors.interfaces import HttpAnswer, HttpCall
from mlserver_core.rest.body import read_body
from mlserver_core.rest.keys import ENGINE
from mlserver_core.types.context import RequestContext


async def exchange(
    request: web.Request, match: RouteMatch, context: RequestContext
) -> web.StreamResponse:
    """Has a custom handler answer a request.

    Raises:
        MLServerError: it failed. An HTTPException is what the handler raised.
    """
    bind = partial(_to_call, request, match.variables)
    pieces = request.app[ENGINE].exchange_route(match.route, bind, context)
    async with aclosing(pieces):
        begun = await anext(pieces, None)
        if not isinstance(begun, HttpAnswer):
            raise InternalError("a worker gave no answer; the server's log has the details")
        if begun.raised:
            raise _to_exception(begun)
        if begun.body is not None:
            await anext(pieces, None)
            return _begin(begun, web.Response(body=begun.body))
        answer = _begin(begun, web.StreamResponse())
        await answer.prepare(request)
        async for piece in pieces:
            if isinstance(piece, HttpAnswer):
                raise _to_exception(piece)
            await answer.write(piece)
        return answer


async def _to_call(request: web.Request, variables: Mapping[str, str]) -> HttpCall:
    return HttpCall(
        method=request.method,
        url=request.raw_path,
        headers=tuple(request.headers.items()),
        body=bytes(await read_body(request)),
        variables=variables,
        remote=request.remote,
    )


def _begin(begun: HttpAnswer, answer: web.StreamResponse) -> web.StreamResponse:
    """Gives an answer its status and headers."""
    answer.set_status(begun.status, begun.reason)
    answer.headers.clear()
    answer.headers.extend(begun.headers)
    if answer.headers.get(hdrs.CONNECTION, "").lower() == "close":
        answer.force_close()
    return answer


def _to_exception(raised: HttpAnswer) -> web.HTTPException:
    """What a handler raised, as it would have come out of a handler in this process."""
    # aiohttp knows no class for a status of somebody's own, and the constructors differ.
    kind = type("Raised", (web.HTTPException,), {"status_code": raised.status, "empty_body": True})
    made: web.HTTPException = kind(reason=raised.reason, headers=CIMultiDict(raised.headers))
    made.body = raised.body
    return made
