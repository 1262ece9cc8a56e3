"""Calls over REST, to a small server of the test."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from aiohttp import web

from mlserver_core.cli.inference.client import CallFailed
from mlserver_core.cli.inference.options import Options
from mlserver_core.cli.inference.rest_client import open_rest_client
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest

ANSWER = {
    "model_name": "m",
    "outputs": [{"name": "y", "shape": [1], "datatype": "FP64", "data": [2.5]}],
}
TENSOR = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}


@pytest.fixture
async def ask():
    """Sends one request to a handler; returns what the client makes of its answer."""
    closing = []

    async def send(handler, *, request=None, headers=None, **options):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
        await runner.setup()
        closing.append(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "{}:{}".format(*runner.addresses[0])
        client = open_rest_client(Options(model_name="m", url=url, **options))
        closing.insert(0, client.close)
        asked = InferenceRequest.model_validate(request or {"inputs": [TENSOR]})
        return await client.infer(asked, headers or {})

    yield send
    for close in closing:
        await close()


def answering(status=200, content=ANSWER, headers=None):
    async def answer(request):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def failure(call):
    with pytest.raises(CallFailed) as failed:
        await call
    return failed.value


async def test_the_request_is_posted_with_all_headers(ask):
    got = {}

    async def answer(request):
        got.update(path=request.path, headers=request.headers, body=await request.json())
        return web.json_response(ANSWER)

    response = await ask(
        answer,
        headers={"x-request-id": "1"},
        request_headers=("X-Url: http://a",),
        model_version="2",
    )
    assert response.outputs[0].data == [2.5]
    assert got["path"] == "/v2/models/m/versions/2/infer"
    assert got["headers"]["X-Url"] == "http://a"
    assert got["headers"]["X-Request-Id"] == "1"
    assert got["headers"]["Content-Type"] == "application/json"
    assert got["body"] == {"inputs": [TENSOR]}


@pytest.mark.parametrize(
    ("status", "may_retry", "may_split"),
    [
        (400, False, True),
        (404, False, True),
        (413, False, True),
        (422, False, True),
        (500, False, True),
        (302, False, True),
        (429, True, False),
        (502, True, False),
        (503, True, False),
        (504, True, False),
    ],
)
async def test_a_status_says_whether_to_try_again(ask, status, may_retry, may_split):
    headers = {"Retry-After": "7", "Location": "/elsewhere"}
    failed = await failure(ask(answering(status, {"error": "why"}, headers)))
    assert str(failed) == f"{status}: why"
    assert (failed.may_retry, failed.may_split) == (may_retry, may_split)
    assert failed.retry_after == 7


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"<html>gateway</html>", "502: <html>gateway</html>"),
        (b"", "502: Bad Gateway"),
        (b"[1]", "502: [1]"),
        (b"\xff" * 1000, "502: " + "�" * 300),
    ],
)
async def test_an_error_that_is_no_error_object_is_shown_as_it_is(ask, content, text):
    assert str(await failure(ask(answering(502, content)))) == text


async def test_an_answer_that_cannot_be_read_is_a_failure_of_the_call(ask):
    failed = await failure(ask(answering(content={"outputs": 1})))
    assert str(failed) == "the answer cannot be read: outputs: expected a list, got 1"
    assert not failed.may_retry


async def test_an_answer_that_does_not_come_in_time_may_come_later(ask):
    async def answer(request):
        await asyncio.Event().wait()

    failed = await failure(ask(answer, timeout=0.05))
    assert str(failed) == "no answer within 0.05 seconds"
    assert failed.may_retry


@pytest.mark.parametrize("begun", [False, True])
async def test_a_connection_that_breaks_may_be_better_next_time(ask, begun):
    async def answer(request):
        if begun:
            response = web.StreamResponse(headers={"Content-Length": "100"})
            await response.prepare(request)
            await response.write(b"{")
        request.transport.abort()
        return web.Response()

    failed = await failure(ask(answer))
    assert str(failed).startswith("no connection: ")
    assert failed.may_retry


async def test_a_server_that_is_not_there_may_come(ask):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        client = open_rest_client(
            Options(model_name="m", url=f"127.0.0.1:{taken.getsockname()[1]}")
        )
        failed = await failure(client.infer(InferenceRequest(inputs=[]), {}))
        await client.close()
    assert failed.may_retry


async def mirror(request):
    """Answers as the binary tensor data extension says: the inputs, as outputs."""
    body = await request.read()
    length = int(request.headers["Inference-Header-Content-Length"])
    head = json.loads(body[:length])
    assert head["parameters"]["binary_data_output"] is True
    assert len(body) - length == sum(
        each["parameters"]["binary_data_size"] for each in head["inputs"]
    )
    assert not any("data" in each for each in head["inputs"])
    text = json.dumps({"model_name": "m", "outputs": head["inputs"]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    return web.Response(body=text + body[length:], headers=headers)


async def test_binary_tensors_go_and_come(ask):
    words = {"name": "t", "shape": [2], "datatype": "BYTES", "data": ["a", "ü"]}
    response = await ask(mirror, request={"inputs": [TENSOR, words]}, binary_data=True)
    assert response.outputs[0].data == [1.0, 2.0]
    assert response.outputs[1].data == [b"a", "ü".encode()]


async def test_data_that_cannot_be_sent_binary_is_refused_before_a_call(ask):
    wrong = {**TENSOR, "data": [1]}
    with pytest.raises(InvalidRequest, match="tensor 'x': shape"):
        await ask(mirror, request={"inputs": [wrong]}, binary_data=True)
