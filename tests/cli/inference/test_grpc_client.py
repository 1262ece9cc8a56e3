"""Calls over gRPC, to a small server of the test."""

from __future__ import annotations

import asyncio
import socket

import pytest
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from mlserver_core.cli.inference.client import CallFailed
from mlserver_core.cli.inference.grpc_client import open_grpc_client
from mlserver_core.cli.inference.options import Options
from mlserver_core.errors import InvalidRequest
from mlserver_core.grpc.messages import load_messages
from mlserver_core.types import InferenceRequest

TENSOR = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}
ModelInferRequest = load_messages().get("inference.ModelInferRequest")
ModelInferResponse = load_messages().get("inference.ModelInferResponse")


class Service:
    def __init__(self, answer):
        self.answer = answer

    def __mapping__(self):
        method = Handler(
            self.answer, Cardinality.UNARY_UNARY, ModelInferRequest, ModelInferResponse
        )
        return {"/inference.GRPCInferenceService/ModelInfer": method}


@pytest.fixture
async def ask():
    """Sends one request to a handler; returns what the client makes of its answer."""
    closing = []

    async def send(handler, *, request=None, headers=None, tls=None, **options):
        server = Server([Service(handler)])
        await server.start("127.0.0.1", 0, ssl=tls)
        closing.append(server)
        port = server._server.sockets[0].getsockname()[1]
        values = {"model_name": "m", "url": f"127.0.0.1:{port}", "transport": "grpc", **options}
        client = open_grpc_client(Options(**values))
        asked = InferenceRequest.model_validate(request or {"inputs": [TENSOR]})
        try:
            return await client.infer(asked, headers or {})
        finally:
            await client.close()

    yield send
    for server in closing:
        server.close()
        await server.wait_closed()


async def failure(call):
    with pytest.raises(CallFailed) as failed:
        await call
    return failed.value


def failing(status, message="why", trailers=()):
    async def answer(stream):
        await stream.recv_message()
        await stream.send_trailing_metadata(
            status=status, status_message=message, metadata=trailers
        )

    return answer


@pytest.mark.parametrize("binary", [False, True])
async def test_the_request_is_sent_with_all_headers(ask, binary):
    got = {}

    async def answer(stream):
        message = await stream.recv_message()
        got.update(message=message, metadata=dict(stream.metadata))
        reply = ModelInferResponse(model_name="m", id=message.id)
        output = reply.outputs.add(name="y", datatype="INT8", shape=[1])
        output.contents.int_contents.append(7)
        await stream.send_message(reply)

    response = await ask(
        answer,
        request={"id": "1", "inputs": [TENSOR]},
        headers={"x-request-id": "2"},
        request_headers=("X-Url: http://a", "x-some-bin: abc"),
        model_version="v3",
        binary_data=binary,
    )
    assert (response.id, response.outputs[0].data) == ("1", [7])
    assert (got["message"].model_name, got["message"].model_version) == ("m", "v3")
    assert len(got["message"].raw_input_contents) == binary
    assert got["metadata"]["x-url"] == "http://a"
    assert got["metadata"]["x-some-bin"] == b"abc"
    assert got["metadata"]["x-request-id"] == "2"


@pytest.mark.parametrize(
    ("status", "may_retry", "may_split"),
    [
        (Status.INVALID_ARGUMENT, False, True),
        (Status.NOT_FOUND, False, True),
        (Status.INTERNAL, False, True),
        (Status.UNIMPLEMENTED, False, True),
        (Status.UNAVAILABLE, True, False),
        (Status.DEADLINE_EXCEEDED, True, False),
        (Status.RESOURCE_EXHAUSTED, True, True),
    ],
)
async def test_a_status_says_whether_to_try_again(ask, status, may_retry, may_split):
    failed = await failure(ask(failing(status, trailers={"retry-after": "7"})))
    assert str(failed) == f"{status.name}: why"
    assert (failed.may_retry, failed.may_split) == (may_retry, may_split)
    assert failed.retry_after == 7


async def test_a_server_need_not_say_how_long_to_wait_nor_why(ask):
    failed = await failure(ask(failing(Status.UNAVAILABLE, message=None)))
    assert (str(failed), failed.retry_after) == ("UNAVAILABLE: no reason given", 0)


async def test_an_answer_that_does_not_come_in_time_may_come_later(ask):
    async def answer(stream):
        await asyncio.Event().wait()

    failed = await failure(ask(answer, timeout=0.05))
    assert str(failed) in ("no answer within 0.05 seconds", "DEADLINE_EXCEEDED: no reason given")
    assert failed.may_retry


async def test_a_connection_that_breaks_may_be_better_next_time(ask):
    async def answer(stream):
        stream._stream._transport.abort()
        await asyncio.Event().wait()

    failed = await failure(ask(answer))
    assert str(failed).startswith("no connection: ")
    assert failed.may_retry


async def test_a_server_that_is_not_there_may_come():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        url = f"127.0.0.1:{taken.getsockname()[1]}"
        client = open_grpc_client(Options(model_name="m", url=url, transport="grpc"))
        failed = await failure(client.infer(InferenceRequest(inputs=[]), {}))
        await client.close()
    assert failed.may_retry


async def test_an_answer_that_cannot_be_read_is_a_failure_of_the_call(ask):
    async def answer(stream):
        await stream.recv_message()
        reply = ModelInferResponse(raw_output_contents=[b"", b""])
        await stream.send_message(reply)

    failed = await failure(ask(answer))
    assert str(failed).startswith("the answer cannot be read: raw_output_contents has 2 buffers")


@pytest.mark.parametrize("header", ["content-type: a", "grpc-a: b", "te: a"])
async def test_a_header_that_grpc_does_not_carry_is_refused_at_once(header):
    with pytest.raises(InvalidRequest, match="cannot be sent over gRPC"):
        open_grpc_client(Options(model_name="m", transport="grpc", request_headers=(header,)))


async def test_a_request_that_grpc_does_not_carry_is_refused_before_a_call(ask):
    async def answer(stream):
        raise GRPCError(Status.INTERNAL)

    with pytest.raises(InvalidRequest, match=r"parameters\.a: "):
        await ask(answer, request={"inputs": [], "parameters": {"a": []}})


async def test_tls_is_spoken_and_verified_unless_told_otherwise(ask, certificate):
    async def answer(stream):
        await stream.recv_message()
        await stream.send_message(ModelInferResponse(model_name="m"))

    context, _ = certificate
    context.set_alpn_protocols(["h2"])
    failed = await failure(ask(answer, tls=context, use_ssl=True))
    assert str(failed).startswith("no secure connection: ")
    assert not failed.may_retry
    response = await ask(answer, tls=context, use_ssl=True, insecure=True)
    assert response.model_name == "m"
