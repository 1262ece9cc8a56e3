"""What custom handlers return, as HTTP answers: in the server, and in workers."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import attrs
from aiohttp import web

from mlserver_core.engine.route_table import Route
from mlserver_core.errors import RuntimeFailed
from mlserver_core.rest.binding import Plan, make_plan
from mlserver_core.rest.health import to_json
from mlserver_core.rest.infer import take_headers
from mlserver_core.types import InferenceResponse
from mlserver_core.types.converter import dump
from mlserver_core.wire.json import encode_response

#: What a handler may raise besides MLServerError: answers of aiohttp, and what it meets when it
#: reads the body by itself.
PASSING = (web.HTTPException, web.RequestPayloadError)
#: What is known of a handler, for as long as its model is loaded.
PLANS: web.AppKey[WeakKeyDictionary[Route, Plan]] = web.AppKey("plans", WeakKeyDictionary)
#: The answer that has been begun to a request.
_BEGUN = web.RequestKey("begun", web.StreamResponse)


def plan_of(app: web.Application, route: Route) -> Plan:
    """How the arguments of a handler are found, whose model lives in this process; raises
    RuntimeFailed.
    """
    plan = app[PLANS].get(route)
    if plan is None:
        assert route.function is not None  # noqa: S101
        plan = make_plan(route.function, route.custom.rest_method, route.variables)
        app[PLANS][route] = plan
    return plan


def answer_of(request: web.Request, result: Any, route: Route) -> web.StreamResponse:
    """The answer that a handler's result is.

    Raises:
        RuntimeFailed: it is none, or it cannot be sent, or another one has been begun.
    """
    if isinstance(result, InferenceResponse) and not result.model_name:
        result = result.model_copy(update={"model_name": route.model})
    answer = to_answer(result)
    _check_begun(request, answer, route.handler)
    return answer


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
