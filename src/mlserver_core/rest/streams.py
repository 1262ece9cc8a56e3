"""Inference whose answers come one by one, as server-sent events (HTML standard, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from aiohttp import web

from mlserver_core.rest.errors import explain, is_client_gone, log_error
from mlserver_core.rest.infer import asked_model, context_of, read_inference, take_headers
from mlserver_core.rest.keys import ENGINE
from mlserver_core.rest.open_calls import OPEN_CALLS
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.wire.json import encode, encode_response

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}


async def post_stream(request: web.Request) -> web.StreamResponse:
    """``POST /v2/models/NAME[/versions/VERSION]/infer_stream``, and ``.../generate_stream``.

    What fails before the first answer has a status of its own; later it is an event.
    """
    context = context_of(request)
    inference, _ = await read_inference(request, context.headers)
    responses = request.app[ENGINE].infer_stream(*asked_model(request), _only(inference), context)
    async with aclosing(responses):
        with request.app[OPEN_CALLS]:
            first = await anext(responses, None)
        headers = {} if first is None else take_headers(first)
        event = b"" if first is None else _event(first)
        answer = web.StreamResponse(headers=headers)
        answer.headers.update(_HEADERS)  # in place of the model's, in whatever case
        await answer.prepare(request)
        try:
            with request.app[OPEN_CALLS]:
                await answer.write(event)
                await _write_events(answer, responses)
        except Exception as error:
            if is_client_gone(request):
                raise
            status, text = explain(request, error)
            log_error(request, error, status, text)
            await answer.write(b"event: error\ndata: " + encode({"error": text}) + b"\n\n")
    return answer


async def _write_events(
    answer: web.StreamResponse, responses: AsyncGenerator[InferenceResponse, None]
) -> None:
    """Writes each response as it comes; a client that reads slowly is waited for."""
    async for response in responses:
        if response.parameters is not None:
            response.parameters.headers = None  # too late for those
        await answer.write(_event(response))


def _event(response: InferenceResponse) -> bytes:
    return b"data: " + encode_response(response) + b"\n\n"


async def _only(request: InferenceRequest) -> AsyncIterator[InferenceRequest]:
    yield request
