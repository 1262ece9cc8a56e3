"""Queues, deadlines and message sizes, over gRPC."""

from __future__ import annotations

from urllib.parse import unquote

import grpc
import pytest

from mlserver_core.grpc.messages import load_messages

REQUEST = load_messages().get("inference.ModelInferRequest")
INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"

MODELS = """
import asyncio
import time
from pathlib import Path
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

GO = Path(__file__).parent.parent / "go"

class Async(MLModel):
    async def predict(self, payload):
        print("BEGAN", payload.id, flush=True)
        while not GO.exists():
            await asyncio.sleep(0.01)
        return InferenceResponse(outputs=[])

class Stubborn(MLModel):
    async def predict(self, payload):
        print("BEGAN", payload.id, flush=True)
        while not GO.exists():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                print("STAYS", payload.id, flush=True)
        return InferenceResponse(outputs=[])

class Plain(MLModel):
    def predict(self, payload):
        print("BEGAN", payload.id, flush=True)
        while not GO.exists():
            time.sleep(0.01)
        return InferenceResponse(outputs=[])

class Streams(MLModel):
    async def predict_stream(self, payloads):
        async for payload in payloads:
            yield InferenceResponse(outputs=[])
"""


@pytest.fixture
def start(serve, model_folder, tmp_path):
    """Starts a server whose model works until a file ``go`` is there."""

    def start_server(implementation, **settings):
        model_folder("m", MODELS, implementation=f"models.{implementation}", **settings)
        return serve(tmp_path)

    return start_server


@pytest.fixture
def message(frame):
    def make(id="7", padding=0):
        parameters = {"x": {"string_param": "x" * padding}} if padding else {}
        made = REQUEST(model_name="m", id=id, parameters=parameters)
        return frame(made.SerializeToString())

    return make


def status_of(trailers):
    return trailers["grpc-status"], unquote(trailers["grpc-message"])


@pytest.mark.parametrize("implementation", ["Async", "Stubborn", "Plain"])
@pytest.mark.parametrize("path", [INFER, STREAM])
@pytest.mark.parametrize("own", [True, False])
def test_late_answer_is_deadline_exceeded_whatever_the_model_does(
    start, connect, message, tmp_path, implementation, path, own
):
    server = start(implementation, **({"request_timeout": 0.3} if own else {}))
    client = connect(server)
    trailers = client.call(message(), path, **({} if own else {"grpc_timeout": "300m"}))
    text = "the deadline of the call has passed"
    if own:
        text = "there was no answer within request_timeout (0.3 seconds)"
    assert status_of(trailers) == ("4", text)
    if implementation == "Stubborn":
        server.wait_for("STAYS 7")
    (tmp_path / "go").touch()
    assert client.call(message(), path)["grpc-status"] == "0"
    assert server.stop() == 0
    assert "Traceback" not in "\n".join(server.lines)


def test_stream_that_has_answered_ends_at_its_deadline_too(start, connect, message):
    client = connect(start("Streams", request_timeout=0.5))
    stream = client.open(STREAM)
    client.send(stream, message(), end=False)
    trailers = client.trailers(stream)
    assert status_of(trailers)[0] == "4"
    assert len(client.messages(stream)) == 1


def test_call_above_the_queue_is_resource_exhausted_at_once(start, connect, message, tmp_path):
    server = start("Async", max_queue_size=2)
    client = connect(server)
    streams = [client.open(), client.open()]
    for number, stream in enumerate(streams):
        client.send(stream, message(str(number)))
        server.wait_for(f"BEGAN {number}")
    for path in (INFER, STREAM):
        code, text = status_of(client.call(message(), path))
        assert (code, text[:39]) == ("8", "model 'm' works on max_queue_size (2) r")
    (tmp_path / "go").touch()
    assert [client.trailers(stream)["grpc-status"] for stream in streams] == ["0", "0"]
    assert client.call(message())["grpc-status"] == "0"


def test_call_that_leaves_the_queue_never_begins(start, connect, message, tmp_path):
    server = start("Plain", max_queue_size=2)
    client = connect(server)
    client.send(client.open(), message("first"))
    server.wait_for("BEGAN first")

    def wait_until(code):
        """Asks for a place in the queue until that has ``code``; no thread is free meanwhile."""
        while client.call(message("probe"), grpc_timeout="100m")["grpc-status"] != code:
            pass

    second = client.open()
    client.send(second, message("second"))
    wait_until("8")  # the second has taken its place
    client.reset(second)
    wait_until("4")  # and given it back
    (tmp_path / "go").touch()
    assert client.call(message("last"))["grpc-status"] == "0"
    assert server.stop() == 0
    assert [each for each in server.lines if "BEGAN" in each] == ["BEGAN first", "BEGAN last"]


@pytest.mark.parametrize("path", [INFER, STREAM])
@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_message_above_the_models_limit_is_resource_exhausted(start, path, compression):
    server = start("Streams", max_body_size=1000)
    with grpc.insecure_channel(server.grpc_address, compression=compression) as channel:

        def send(*requests):
            made = [each.SerializeToString() for each in requests]
            return list(channel.stream_stream(path)(iter(made)))

        def sized(size):
            made = REQUEST(model_name="m", id="x" * size)
            made.id = "x" * (2 * size - made.ByteSize())
            assert made.ByteSize() == size
            return made

        if path == STREAM:
            assert len(send(sized(1000), sized(1000))) == 2
            too_large = [(sized(1001),), (sized(100), sized(1001))]
        else:
            too_large = [(sized(1001),)]
        for requests in too_large:
            with pytest.raises(grpc.RpcError) as refused:
                send(*requests)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.value.details() == (
                "the message has 1001 bytes, more than max_body_size (1000) of model 'm'"
            )
