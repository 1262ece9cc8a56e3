"""Inference whose answers come one by one, as server-sent events (HTML standard, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import cast

import attrs
from aiohttp import web

from mlserver_core.errors import Unavailable
from mlserver_core.rest.errors import explain, is_client_gone, log_error
from mlserver_core.rest.infer import asked_model, context_of, read_inference, take_headers
from mlserver_core.rest.keys import ENGINE
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.wire.json import encode, encode_response

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}


@attrs.define(eq=False)
class OpenStreams:
    """The streams that are being answered.

    Attributes:
        ending: the server stops, and so do they.
    """

    ending: bool = attrs.field(default=False, init=False)
    _tasks: set[asyncio.Task[object]] = attrs.field(factory=set, init=False)

    @contextmanager
    def one(self, task: asyncio.Task[object]) -> Iterator[None]:
        """What ``task`` does inside is one stream; raises Unavailable when it is ended."""
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self.ending:
                raise
            getattr(task, "uncancel", int)()  # Python 3.10 does not count
            raise Unavailable("the server is stopping") from None
        finally:
            self._tasks.discard(task)

    def end(self) -> None:
        """Ends them, each with an error for its client."""
        self.ending = True
        for task in self._tasks:
            task.cancel()


STREAMS = web.AppKey("streams", OpenStreams)


async def post_stream(request: web.Request) -> web.StreamResponse:
    """``POST /v2/models/NAME[/versions/VERSION]/infer_stream``, and ``.../generate_stream``.

    What fails before the first answer has a status of its own; later it is an event.
    """
    inference, _ = await read_inference(request)
    responses = request.app[ENGINE].infer_stream(
        *asked_model(request), _only(inference), context_of(request)
    )
    task = cast("asyncio.Task[object]", asyncio.current_task())
    async with aclosing(responses):
        with request.app[STREAMS].one(task):
            first = await anext(responses, None)
        headers = {} if first is None else take_headers(first)
        event = b"" if first is None else _event(first)
        answer = web.StreamResponse(headers=headers)
        answer.headers.update(_HEADERS)  # in place of the model's, in whatever case
        await answer.prepare(request)
        try:
            with request.app[STREAMS].one(task):
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
