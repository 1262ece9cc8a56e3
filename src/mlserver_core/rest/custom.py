"""Calls of custom handlers: paths that a model answers by itself."""

from __future__ import annotations

import re
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.engine.route_table import Route, RouteMatch
from mlserver_core.errors import RuntimeFailed
from mlserver_core.rest.body import body_limit
from mlserver_core.rest.exchange import exchange
from mlserver_core.rest.handler_answers import PASSING, answer_of, plan_of
from mlserver_core.rest.infer import context_of
from mlserver_core.rest.keys import ENGINE, MATCHED
from mlserver_core.rest.open_calls import OPEN_CALLS
from mlserver_core.rest.openapi.document import CustomPath
from mlserver_core.rest.request_id import request_id


@web.middleware
async def answer_custom(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Asks the models where the server itself has nothing at a path."""
    missing = request.match_info.http_exception
    if missing is None or missing.status != 404:
        return await handler(request)
    engine = request.app[ENGINE]
    path = request.rel_url.path_safe
    match = engine.find_route(request.method, path)
    if match is not None:
        request[MATCHED] = match.route
        return await _call(request, match)
    methods = engine.route_methods(path)
    if methods:
        allowed = methods | ({"HEAD"} if "GET" in methods else set())
        text = f"{request.path} does not take {request.method}"
        raise web.HTTPMethodNotAllowed(request.method, sorted(allowed), text=text)
    return await handler(request)


async def _call(request: web.Request, match: RouteMatch) -> web.StreamResponse:
    route = match.route
    context = context_of(request)
    context.request_id = request_id(request)
    with request.app[OPEN_CALLS]:
        if route.function is None:
            return await exchange(request, match, context)
        request._client_max_size = body_limit(request)  # noqa: SLF001  # for handlers that read it
        bind = partial(plan_of(request.app, route).bind, request, match.variables)
        result = await request.app[ENGINE].call_route(route, bind, context, PASSING)
    return answer_of(request, result, route)


def check_route(app: web.Application, route: Route) -> None:
    """Raises RuntimeFailed for a handler that could not be called: its author must act."""
    path = re.sub(r"{\w+(:path)?}", "x", route.custom.rest_path)
    for resource in app.router.resources():
        info = resource.get_info()
        pattern = info.get("pattern")
        if info.get("path") == path or (pattern is not None and pattern.fullmatch(path)):
            raise RuntimeFailed(
                f"custom handler {route.handler!r}: its rest_path is one of the server's own; "
                "give it another"
            )
    if route.function is not None:  # a worker looks at its own
        plan_of(app, route)


def list_custom(engine: InferenceEngine) -> list[CustomPath]:
    """The calls that the models bring along right now, for the documentation endpoints."""
    return [
        CustomPath(
            method=route.custom.rest_method,
            path=route.custom.rest_path.replace(":path}", "}"),
            summary=f"{route.handler} of model {route.model}",
        )
        for route in engine.models.routes.routes
    ]
