"""Inference over REST."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from aiohttp import web

from mlserver_core.rest.body import read_body
from mlserver_core.rest.keys import ENGINE
from mlserver_core.rest.open_calls import OPEN_CALLS
from mlserver_core.rest.request_id import name_request, request_id
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


@attrs.define
class Answer:
    """The answer to an inference.

    Attributes:
        id: that the answer repeats in front of its body.
        body: JSON, and binary tensors behind it.
        headers: those of the answer itself, and no others.
        binary: are there tensors behind the JSON?
    """

    id: str
    body: bytes
    headers: dict[str, str]
    binary: bool


async def post_infer(request: web.Request) -> web.Response:
    """``POST /v2/models/NAME[/versions/VERSION]/infer``, and ``.../generate``."""
    return make_response(await answer_inference(request, *asked_model(request)))


async def answer_inference(request: web.Request, name: str, version: str | None) -> Answer:
    """Reads a request for a model and answers it; raises MLServerError."""
    context = context_of(request)
    inference, wanted = await read_inference(request, context.headers)
    with request.app[OPEN_CALLS]:
        response = await request.app[ENGINE].infer(name, version, inference, context)
    return to_answer(request_id(request), response, wanted)


def to_answer(id: str, response: InferenceResponse, wanted: BinaryOutputs) -> Answer:
    """A response as it goes out; raises RuntimeFailed for one that cannot."""
    headers = take_headers(response)
    body, length = encode_response(response, wanted)
    if length is not None:
        headers[LENGTH_HEADER] = str(length)
    return Answer(id, body, headers, length is not None)


def make_response(answer: Answer) -> web.Response:
    """An answer to an inference, as aiohttp sends it."""
    kind = "application/octet-stream" if answer.binary else "application/json"
    return web.Response(body=answer.body, headers=answer.headers, content_type=kind)


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


async def read_inference(
    request: web.Request, headers: Mapping[str, str]
) -> tuple[InferenceRequest, BinaryOutputs]:
    """The inference request of a body, and the outputs that it wants binary.

    Args:
        request: with the body.
        headers: what ``read_headers`` found.

    Raises:
        MLServerError: it cannot be read, or it is no inference request.
    """
    body = await read_body(request)
    declared = None
    if is_raw_only(headers):
        declared = (await request.app[ENGINE].metadata(*asked_model(request))).inputs
    inference, wanted = decode_request(body, headers, declared)
    inference.id = name_request(request, inference.id)
    return inference, wanted


def read_headers(request: web.Request) -> dict[str, str]:
    """The request's headers, names in lower case; of a repeated one the first counts."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), value)
    return headers


def take_headers(response: InferenceResponse) -> dict[str, str]:
    """Takes the headers out of an answer's parameters, as they go out in front of its body."""
    if response.parameters is None or response.parameters.headers is None:
        return {}
    headers, response.parameters.headers = response.parameters.headers, None
    return sendable(headers)
