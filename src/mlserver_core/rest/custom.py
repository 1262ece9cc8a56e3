"""Calls of custom handlers: paths that a model answers by itself."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import attrs
from aiohttp import web
from aiohttp.typedefs import Handler

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.engine.route_table import Route, RouteMatch
from mlserver_core.errors import RuntimeFailed
from mlserver_core.rest.binding import Plan, make_plan
from mlserver_core.rest.body import body_limit
from mlserver_core.rest.health import to_json
from mlserver_core.rest.infer import context_of, take_headers
from mlserver_core.rest.keys import ENGINE, MATCHED
from mlserver_core.rest.open_calls import OPEN_CALLS
from mlserver_core.rest.openapi.document import CustomPath
from mlserver_core.rest.request_id import request_id
from mlserver_core.types import InferenceResponse
from mlserver_core.types.converter import dump
from mlserver_core.wire.json import encode_response

#: What a handler may raise besides MLServerError: answers of aiohttp, and what it meets when it
#: reads the body by itself.
_PASSING = (web.HTTPException, web.RequestPayloadError)
#: What is known of a handler, for as long as its model is loaded.
PLANS: web.AppKey[WeakKeyDictionary[Route, Plan]] = web.AppKey("plans", WeakKeyDictionary)
#: The answer that has been begun to a request.
_BEGUN = web.RequestKey("begun", web.StreamResponse)


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
    plan = _plan_of(request.app, route)
    context = context_of(request)
    context.request_id = request_id(request)
    bind = partial(plan.bind, request, match.variables)
    request._client_max_size = body_limit(request)  # noqa: SLF001  # for handlers that read it
    with request.app[OPEN_CALLS]:
        result = await request.app[ENGINE].call_route(route, bind, context, _PASSING)
    if isinstance(result, InferenceResponse) and not result.model_name:
        result = result.model_copy(update={"model_name": route.model})
    answer = to_answer(result)
    _check_begun(request, answer, route.handler)
    return answer


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
        _plan_of(app, route)


def _plan_of(app: web.Application, route: Route) -> Plan:
    plan = app[PLANS].get(route)
    if plan is None:
        assert route.function is not None  # noqa: S101
        plan = make_plan(route.function, route.custom.rest_method, route.variables)
        app[PLANS][route] = plan
    return plan


async def note_begun(request: web.Request, response: web.StreamResponse) -> None:
    """Remembers an answer; runs before its headers are sent."""
    request[_BEGUN] = response


def _check_begun(request: web.Request, answer: web.StreamResponse, handler: str) -> None:
    """Raises RuntimeFailed for an answer that cannot be sent: this or another call has begun one
    already.
    """
    begun = request.get(_BEGUN)
    if begun is answer:
        return
    if begun is not None:
        raise RuntimeFailed(f"{handler} has begun an answer of its own, and returned another")
    if answer.prepared:
        raise RuntimeFailed(
            f"{handler} returned an answer that has been sent before; return a new web.Response "
            "for each call"
        )


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


def to_answer(result: Any) -> web.StreamResponse:
    """What a handler returned, as an HTTP answer.

    Raises:
        RuntimeFailed: it has no JSON form.
    """
    if isinstance(result, web.StreamResponse):
        return result
    if isinstance(result, InferenceResponse):
        return _inference_answer(result)
    if isinstance(result, str):
        return web.Response(text=result)
    if isinstance(result, (bytes, bytearray, type(None))):
        return web.Response(body=result and bytes(result))
    if attrs.has(type(result)):
        return to_json(dump(result))
    return to_json(result.model_dump() if hasattr(result, "model_dump") else result)


def _inference_answer(result: InferenceResponse) -> web.Response:
    if result.parameters is not None:  # the model may keep them
        result = result.model_copy(update={"parameters": result.parameters.model_copy()})
    headers = take_headers(result)
    body = encode_response(result)
    return web.Response(body=body, headers=headers, content_type="application/json")
