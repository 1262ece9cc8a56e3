"""What a worker does with an exchange, frame by frame; what clients see of handlers is in
tests/rest/test_exchange.py and tests/rest/test_custom.py.
"""

from __future__ import annotations

from mlserver_core.errors import ErrorCode, RuntimeFailed
from mlserver_core.executors.interfaces import HttpAnswer, HttpCall
from mlserver_core.executors.processes.frames import Kind
from mlserver_core.types.context import RequestContext

MODEL = """
import asyncio
import logging

from aiohttp import web
from mlserver_core import MLModel, custom_handler

logger = logging.getLogger("mlserver")


class Model(MLModel):
    async def predict(self, payload):
        return None

    @custom_handler(rest_path="/stream", rest_method="GET")
    async def stream(self, request: web.Request):
        answer = web.StreamResponse(headers={"X-Own": "1"})
        await answer.prepare(request)
        try:
            for number in range(100):
                logger.info("writes %d", number)
                await answer.write(b"%d" % number)
        finally:
            logger.info("left")
        return answer

    @custom_handler(rest_path="/whole", rest_method="GET")
    async def whole(self):
        return {"a": 1}

    @custom_handler(rest_path="/waits", rest_method="GET")
    async def waits(self):
        logger.info("begun")
        try:
            await asyncio.Event().wait()
        finally:
            logger.info("left")

    @custom_handler(rest_path="/socket", rest_method="GET")
    async def socket(self, request: web.Request):
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        return answer
"""
WEBSOCKET = (
    ("Upgrade", "websocket"),
    ("Connection", "upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


async def begin(worker, folder_model, handler, headers=()):
    await worker.load(folder_model("m", MODEL))
    call = HttpCall(method="GET", url=f"/{handler}", headers=headers, body=b"", variables={})
    context = RequestContext(request_id="r-1")
    body = {"generation": 1, "handler": handler, "call": call, "context": context}
    return worker.begin(Kind.EXCHANGE, body)


def messages(worker):
    return [frame.body["message"] for frame in worker.news if frame.kind is Kind.LOG]


async def test_complete_answer_is_one_frame_and_the_end(start_worker, folder_model):
    worker = await start_worker()
    call = await begin(worker, folder_model, "whole")
    worker.connection.send(Kind.NEXT, call, None)
    answer = (await worker.next(call)).body
    assert answer == HttpAnswer(
        status=200,
        reason="OK",
        headers=(("Content-Type", "application/json"),),
        body=b'{"a":1}',
    )
    assert (await worker.next(call)).kind is Kind.END


async def test_handler_writes_no_further_than_it_is_asked_for(start_worker, folder_model):
    worker = await start_worker()
    call = await begin(worker, folder_model, "stream")
    await worker.ask(Kind.CALL, METADATA)
    assert messages(worker) == []
    worker.connection.send(Kind.NEXT, call, None)
    begun = (await worker.next(call)).body
    assert (begun.status, begun.body, dict(begun.headers)["X-Own"]) == (200, None, "1")
    for number in range(3):
        await worker.ask(Kind.CALL, METADATA)
        assert messages(worker) == [f"writes {each}" for each in range(number)]
        worker.connection.send(Kind.NEXT, call, None)
        assert (await worker.next(call)).body == b"%d" % number
    worker.connection.send(Kind.CANCEL, call, {"expired": False})
    assert (await worker.next(call)).body.code is ErrorCode.CANCELLED
    assert messages(worker)[-1] == "left"


METADATA = {"generation": 1, "method": "metadata", "arguments": {}, "context": RequestContext()}


async def test_cancelled_exchange_ends_the_handler(start_worker, folder_model):
    worker = await start_worker()
    call = await begin(worker, folder_model, "waits")
    worker.connection.send(Kind.NEXT, call, None)
    await worker.logged("begun")
    worker.connection.send(Kind.CANCEL, call, {"expired": False})
    assert (await worker.next(call)).body.code is ErrorCode.CANCELLED
    assert messages(worker) == ["begun", "left"]


async def test_websocket_is_refused_with_what_to_do(start_worker, folder_model):
    worker = await start_worker()
    call = await begin(worker, folder_model, "socket", WEBSOCKET)
    worker.connection.send(Kind.NEXT, call, None)
    ended = await worker.next(call)
    assert isinstance(ended.body, RuntimeFailed)
    assert '"parallel_workers": 0' in str(ended.body)
