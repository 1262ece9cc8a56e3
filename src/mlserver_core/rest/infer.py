"""Inference over REST."""

from __future__ import annotations

from aiohttp import web

from mlserver_core.rest.keys import ENGINE
from mlserver_core.types import InferenceResponse
from mlserver_core.types.context import RequestContext
from mlserver_core.wire.headers import sendable
from mlserver_core.wire.json import decode_request, encode_response


async def post_infer(request: web.Request) -> web.Response:
    """``POST /v2/models/NAME[/versions/VERSION]/infer``."""
    headers = read_headers(request)
    inference = decode_request(await request.read(), headers)
    response = await request.app[ENGINE].infer(
        request.match_info["model_name"],
        request.match_info.get("model_version"),
        inference,
        RequestContext(transport="rest", headers=headers),
    )
    sent = take_headers(response)
    return web.Response(
        body=encode_response(response), headers=sent, content_type="application/json"
    )


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
