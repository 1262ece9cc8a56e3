"""Inference over REST."""

from __future__ import annotations

from aiohttp import web

from mlserver_core.rest.body import read_body
from mlserver_core.rest.keys import ENGINE
from mlserver_core.rest.open_calls import OPEN_CALLS
from mlserver_core.rest.request_id import name_request
from mlserver_core.rest.request_timeout import read_deadline
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext
from mlserver_core.wire.binary import (
    LENGTH_HEADER,
    BinaryOutputs,
    decode_request,
    encode_response,
    is_raw_only,
)
from mlserver_core.wire.headers import sendable

#: What ``read_headers`` has read, for whoever asks again.
_HEADERS: web.RequestKey[dict[str, str]] = web.RequestKey("headers", dict)


async def post_infer(request: web.Request) -> web.Response:
    """``POST /v2/models/NAME[/versions/VERSION]/infer``, and ``.../generate``."""
    context = context_of(request)
    inference, wanted = await read_inference(request)
    with request.app[OPEN_CALLS]:
        response = await request.app[ENGINE].infer(*asked_model(request), inference, context)
    headers = take_headers(response)
    body, length = encode_response(response, wanted)
    if length is None:
        return web.Response(body=body, headers=headers, content_type="application/json")
    headers[LENGTH_HEADER] = str(length)
    return web.Response(body=body, headers=headers, content_type="application/octet-stream")


def asked_model(request: web.Request) -> tuple[str, str | None]:
    """The name and version of the model in a path."""
    return request.match_info["model_name"], request.match_info.get("model_version")


def context_of(request: web.Request) -> RequestContext:
    """Where a request comes from, and how long its caller waits from now on.

    Raises:
        InvalidRequest: it says that in a way that cannot be read.
    """
    headers = read_headers(request)
    return RequestContext(transport="rest", headers=headers, deadline=read_deadline(headers))


async def read_inference(request: web.Request) -> tuple[InferenceRequest, BinaryOutputs]:
    """The inference request of a body, and the outputs that it wants binary.

    Raises:
        MLServerError: it cannot be read, or it is no inference request.
    """
    headers = read_headers(request)
    body = await read_body(request)
    declared = None
    if is_raw_only(headers):
        declared = (await request.app[ENGINE].metadata(*asked_model(request))).inputs
    inference, wanted = decode_request(body, headers, declared)
    inference.id = name_request(request, inference.id)
    return inference, wanted


def read_headers(request: web.Request) -> dict[str, str]:
    """The request's headers, names in lower case; of a repeated one the first counts."""
    headers: dict[str, str] | None = request.get(_HEADERS)
    if headers is None:
        headers = request[_HEADERS] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), value)
    return headers


def take_headers(response: InferenceResponse) -> dict[str, str]:
    """Takes the headers out of an answer's parameters, as they go out in front of its body."""
    if response.parameters is None or response.parameters.headers is None:
        return {}
    headers, response.parameters.headers = response.parameters.headers, None
    return sendable(headers)
