from __future__ import annotations

import os
import queue
import zlib

import grpc
import pytest
from grpclib.client import Channel
from grpclib.const import Cardinality

from mlserver_core.grpc._generated import dataplane
from mlserver_core.grpc.messages import load_messages

REQUEST = load_messages().get("inference.ModelInferRequest")
REPLY = load_messages().get("inference.ModelInferResponse")
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"

MODELS = '''
import asyncio
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, Parameters, ResponseOutput

def say(*words):
    print(*words, flush=True)

def answer(number, size=1, **headers):
    output = ResponseOutput(name="y", shape=[size], datatype="UINT8", data=[])
    output.data.root = [number] * size
    return InferenceResponse(
        id="the model's own",
        outputs=[output],
        parameters=Parameters(headers={"x-number": str(number), **headers}, kept=number),
    )

class Model(MLModel):
    async def predict_stream(self, payloads):
        say("began")
        try:
            async for reply in self.answers(payloads):
                yield reply
        finally:
            say("ended")

class Counts(Model):
    """Answers each request with its place in the stream and its id."""

    async def answers(self, payloads):
        number = 0
        async for payload in payloads:
            say("read", payload.id, number)
            yield answer(number, **{"x-first" if number == 0 else "x-later": "yes"})
            number += 1

class First(Model):
    """Answers twice and reads nothing but the first request."""

    async def answers(self, payloads):
        await anext(aiter(payloads))
        yield answer(1)
        yield answer(2)

class Last(Model):
    """Answers once it has read everything."""

    async def answers(self, payloads):
        yield answer(len([payload async for payload in payloads]))

class Fails(Model):
    async def answers(self, payloads):
        yield answer(1)
        raise ValueError("in the middle")

class Misfit(Model):
    async def answers(self, payloads):
        yield answer(1)
        yield answer(300)
        say("asked for more")

class Waits(Model):
    """Answers once and then waits for ever."""

    async def answers(self, payloads):
        yield answer(1)
        await asyncio.Event().wait()

class Holds(Model):
    """Reads one request and no more until it is told by a unary request."""

    async def load(self):
        self.go = asyncio.Event()

    async def predict(self, payload):
        self.go.set()
        return answer(0)

    async def answers(self, payloads):
        number = 0
        async for payload in payloads:
            number += 1
            if number == 1:
                yield answer(number)
            await self.go.wait()
        yield answer(number)

class Floods(Model):
    """Answers with more than a client's window takes, and says how far it got."""

    async def answers(self, payloads):
        for number in range(100):
            say("made", number)
            yield answer(number % 256, size=100_000)

class Single(MLModel):
    async def predict(self, payload):
        say("read", payload.id)
        return answer(len(payload.inputs))

class Plain(MLModel):
    def predict_stream(self, payloads):
        for payload in payloads:
            yield answer(1)
            yield answer(2)
'''
NAMES = [
    "Counts", "First", "Last", "Fails", "Waits", "Holds", "Floods", "Single", "Plain", "Misfit"
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("streams")
    for name in NAMES:
        model = root / name.lower()
        model.mkdir()
        (model / "models.py").write_text(MODELS)
        (model / "model-settings.json").write_text(f'{{"implementation": "models.{name}"}}')
    return root


@pytest.fixture
def server(serve, folder):
    server = serve(folder, "--set", "shutdown_grace_period=5")
    yield server
    if server.process.poll() is None:  # whatever a stream does, nothing of it is left
        assert server.stop() == 0
        text = "\n".join(server.lines)
        assert "Stopping; 0 request(s) in flight" in text
        assert "did not finish" not in text
        assert text.count("began") == text.count("ended")


def request(model="counts", id="", raw=True, **values):
    message = REQUEST(model_name=model, id=id, **values)
    tensor = message.inputs.add(name="x", datatype="UINT8", shape=[1])
    if raw:
        message.raw_input_contents.append(b"a")
    else:
        tensor.contents.uint_contents.append(97)
    return message


@pytest.fixture
def stream(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.stream_stream(
            STREAM,
            request_serializer=lambda each: (
                each if isinstance(each, bytes) else each.SerializeToString()
            ),
            response_deserializer=REPLY.FromString,
        )
        yield lambda requests, **options: call(iter(requests), **options)


def numbers(replies):
    return [reply.raw_output_contents[0][0] for reply in replies]


def taken(call):
    """The replies up to an error."""
    replies = []
    try:
        for reply in call:
            replies.append(reply)  # noqa: PERF402  # extend() would lose them with the error
    except grpc.RpcError as error:
        return replies, error
    return replies, None


def test_each_request_is_answered_in_turn(stream):
    waiting = queue.Queue()
    call = stream(iter(waiting.get, None))
    for number in range(3):
        waiting.put(request(id="7"))
        assert numbers([next(call)]) == [number]  # before the next request is sent
    waiting.put(None)
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


def test_every_answer_and_request_has_the_id_of_the_first(stream, server):
    replies = list(stream([request(id="7"), request(id="8"), request()]))
    assert [reply.id for reply in replies] == ["7", "7", "7"]
    assert server.wait_for("read 7 2") == "read 7 2"


def test_stream_without_an_id_gets_one(stream):
    ids = {reply.id for reply in stream([request(), request()])}
    assert len(ids) == 1
    assert len(ids.pop()) == 36


def test_first_message_names_the_model_for_all(stream):
    replies = list(stream([request("counts"), request("nope"), request("")]))
    assert [reply.model_name for reply in replies] == ["counts"] * 3


@pytest.mark.parametrize("raw", [True, False])
def test_first_message_decides_whether_answers_are_raw(stream, raw):
    replies = list(stream([request(raw=raw), request(raw=not raw)]))
    for reply in replies:
        assert bool(reply.raw_output_contents) is raw
        assert reply.outputs[0].HasField("contents") is not raw


def test_headers_of_the_last_answer_are_the_trailers(stream):
    call = stream([request(id="7"), request()])
    replies = list(call)
    trailers = dict(call.trailing_metadata())
    assert trailers["x-number"] == "1"
    assert trailers["x-later"] == "yes"
    assert "x-first" not in trailers
    assert trailers["ce-id"] == "7"
    for reply in replies:
        assert set(reply.parameters) == {"kept"}


def test_model_may_answer_before_it_has_read_everything(stream):
    waiting = queue.Queue()
    waiting.put(request("first"))
    call = stream(iter(waiting.get, None))
    assert numbers(call) == [1, 2]  # the stream of requests never ends
    assert call.code() is grpc.StatusCode.OK
    waiting.put(None)


def test_client_is_told_to_stop_sending_when_the_model_has_ended(server, connect, frame):
    client = connect(server)
    stream = client.open(STREAM)
    client.send(stream, frame(request("first").SerializeToString()), end=False)
    while stream not in client.resets:
        client.read()
    assert client.headers[stream]["grpc-status"] == "0"
    assert client.resets[stream] == 0
    assert client.call(frame(b""), LIVE)["grpc-status"] == "0"


async def test_client_that_ends_its_side_later_loses_no_answer(server):
    types = dataplane.ModelInferRequest, dataplane.ModelInferResponse
    async with Channel("127.0.0.1", server.grpc_port) as channel:
        async with channel.request(STREAM, Cardinality.STREAM_STREAM, *types) as call:
            await call.send_message(dataplane.ModelInferRequest(model_name="first"))
            first = await call.recv_message()
            await call._stream.trailers_received.wait()  # the server is done
            await call.send_message(dataplane.ModelInferRequest(), end=True)
            replies = [first, await call.recv_message(), await call.recv_message()]
    assert [reply and reply.outputs[0].contents.uint_contents for reply in replies] == [
        [1],
        [2],
        None,
    ]


def test_answer_that_cannot_be_sent_ends_the_stream_and_the_model(stream, server):
    replies, error = taken(stream([request("misfit")]))
    assert numbers(replies) == [1]
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details().startswith("the model's answer does not fit")
    server.wait_for("ended")


def test_model_may_answer_after_it_has_read_everything(stream):
    assert numbers(stream([request("last")] * 5)) == [5]


@pytest.mark.parametrize(("model", "expected"), [("single", [1, 1]), ("plain", [1, 2, 1, 2])])
def test_model_without_an_async_stream_answers_each_request(stream, model, expected):
    assert numbers(stream([request(model, id="7"), request(model)])) == expected


def test_stream_without_a_message_is_an_invalid_argument(stream):
    replies, error = taken(stream([]))
    assert replies == []
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "the stream ended before a request came"


@pytest.mark.parametrize(
    ("first", "code", "text"),
    [
        (request("nope"), grpc.StatusCode.NOT_FOUND, "Model nope not found"),
        (
            request("counts", model_version="3"),
            grpc.StatusCode.NOT_FOUND,
            "Model counts with version 3 not found",
        ),
        (b"\x0a", grpc.StatusCode.INVALID_ARGUMENT, "the message cannot be parsed"),
    ],
)
def test_first_message_that_cannot_be_served_is_refused(stream, first, code, text):
    replies, error = taken(stream([first]))
    assert (replies, error.code()) == ([], code)
    assert error.details().startswith(text)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (b"\x0a", "the message cannot be parsed"),
        (REQUEST(inputs=[{"name": "x", "datatype": "INT322"}]), "tensor 'x': expected one of"),
        (
            REQUEST(inputs=[{"name": "x", "datatype": "UINT8", "shape": [2]}]),
            "tensor 'x'",
        ),
    ],
)
def test_wrong_message_in_the_middle_ends_the_stream_after_what_was_answered(stream, wrong, text):
    replies, error = taken(stream([request(), request(), wrong, request()]))
    assert numbers(replies) == [0, 1]
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(text)


def test_failure_in_the_middle_has_its_status_and_the_last_trailers(stream, server):
    replies, error = taken(stream([request("fails", id="7")]))
    assert numbers(replies) == [1]
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "ValueError: in the middle"
    trailers = dict(error.trailing_metadata())
    assert (trailers["x-number"], trailers["ce-id"]) == ("1", "7")
    assert server.stop() == 0
    assert "\n".join(server.lines).count("Traceback") == 1


def test_client_that_cancels_ends_the_model(stream, server):
    call = stream([request("waits")])
    assert numbers([next(call)]) == [1]
    call.cancel()
    server.wait_for("ended")


def test_lost_connection_ends_the_model(server, connect, frame):
    client = connect(server)
    stream = client.open(STREAM)
    client.send(stream, frame(request("waits").SerializeToString()), end=False)
    while not client.messages(stream):
        client.read()
    client.socket.close()
    server.wait_for("ended")


def test_deadline_ends_the_model_and_the_stream(server, connect, frame):
    client = connect(server)
    stream = client.open(STREAM, grpc_timeout="500m")
    client.send(stream, frame(request("waits").SerializeToString()), end=False)
    trailers = client.trailers(stream)
    assert trailers["grpc-status"] == "4"
    assert trailers["x-number"] == "1"
    assert len(client.messages(stream)) == 1
    server.wait_for("ended")


def test_model_that_does_not_read_holds_its_client_up_and_nobody_else(server, connect, frame):
    client = connect(server)
    held = client.open(STREAM)
    client.send(held, frame(request("holds").SerializeToString()), end=False)
    while not client.messages(held):
        client.read()
    large = frame(REQUEST(id="x" * 1_000_000).SerializeToString())
    sent = 0
    while client.h2.local_flow_control_window(held) > 0:
        room = min(client.h2.local_flow_control_window(held), client.h2.max_outbound_frame_size)
        client.h2.send_data(held, (large * 5)[sent : sent + room])
        sent += room
        client.flush()
    assert 3_000_000 < sent < len(large) * 5
    for _ in range(3):  # on the same connection
        assert client.call(frame(b""), LIVE)["grpc-status"] == "0"
    assert client.h2.local_flow_control_window(held) == 0
    go = frame(request("holds").SerializeToString())
    unary = STREAM.replace("ModelStreamInfer", "ModelInfer")
    assert client.call(go, unary)["grpc-status"] == "0"
    client.send(held, (large * 5)[sent:])
    assert client.trailers(held)["grpc-status"] == "0"
    last = REPLY.FromString(client.messages(held)[-1][1])
    assert list(last.raw_output_contents) == [b"\x06"]


def test_client_that_does_not_read_holds_the_model_up(server, connect, frame):
    client = connect(server)
    client.h2.increment_flow_control_window(2**24)  # of the connection, for the other call
    stream = client.open(STREAM)
    client.held.add(stream)
    client.send(stream, frame(request("floods").SerializeToString()))
    assert server.wait_for("made 0") == "made 0"
    assert client.call(frame(b""), LIVE)["grpc-status"] == "0"
    client.reset(stream)
    server.wait_for("ended")
    made = [line for line in server.lines if line.startswith("made")]
    assert made == ["made 0"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_each_message_is_compressed_for_itself(server, connect, frame, encoding):
    window = {"gzip": 31, "deflate": 15}[encoding]
    work = zlib.compressobj(wbits=window)
    packed = work.compress(request("counts").SerializeToString()) + work.flush()
    client = connect(server)
    stream = client.open(STREAM, grpc_encoding=encoding)
    plain = request("floods").SerializeToString()
    client.send(stream, frame(plain), end=False)
    client.send(stream, frame(packed, 1))
    assert client.trailers(stream)["grpc-status"] == "0"
    messages = client.messages(stream)
    assert len(messages) == 100
    for flag, data in messages:
        assert flag == 1
        assert (
            len(REPLY.FromString(zlib.decompress(data, window)).raw_output_contents[0]) == 100_000
        )


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_grpcio_streams_compressed(stream, algorithm):
    large = request("counts", parameters={"a": {"string_param": "b" * 10_000}})
    assert numbers(stream([large, large, request()], compression=algorithm)) == [0, 1, 2]


def test_message_above_the_limit_ends_the_stream(serve, folder, connect, frame):
    server = serve(folder, "--set", "grpc_max_message_length=1000")
    client = connect(server)
    stream = client.open(STREAM)
    client.send(stream, frame(request("counts").SerializeToString()), end=False)
    client.send(stream, frame(os.urandom(1001)), end=False)
    assert client.trailers(stream)["grpc-status"] == "8"
    assert len(client.messages(stream)) == 1


def test_stream_in_flight_may_finish_while_the_server_stops(server, stream):
    waiting = queue.Queue()
    waiting.put(request())
    call = stream(iter(waiting.get, None))
    assert numbers([next(call)]) == [0]
    server.process.terminate()
    server.wait_for("Stopping; 1 request(s) in flight")
    waiting.put(request())
    assert numbers([next(call)]) == [1]
    waiting.put(None)
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK
    assert server.wait() == 0
    assert "did not finish" not in "\n".join(server.lines)


def test_stream_that_outlasts_the_grace_period_is_ended_and_told(serve, folder):
    server = serve(folder, "--set", "shutdown_grace_period=0.2")
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.stream_stream(STREAM)(iter([request("waits").SerializeToString()]))
        next(call)
        assert server.stop() == 0
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "the server is stopping"
    assert "ended" in server.lines
