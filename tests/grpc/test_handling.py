from __future__ import annotations

from urllib.parse import unquote

import grpc
import pytest

from mlserver_core.grpc.messages import load_messages

REQUEST = load_messages().get("inference.ModelInferRequest")
INFER = "/inference.GRPCInferenceService/ModelInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"
WATCH = "/grpc.health.v1.Health/Watch"

MODELS = '''
import asyncio
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Waits(MLModel):
    """Says what happens to it, and waits for ever."""

    async def predict(self, payload):
        print("began", payload.id, flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("ended", payload.id, flush=True)

class Stubborn(MLModel):
    async def predict(self, payload):
        print("began", payload.id, flush=True)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return InferenceResponse(outputs=[])

class Raises(MLModel):
    async def predict(self, payload):
        raise ValueError("line one\\nline two: Gr\\u00fc\\u00dfe \\U0001f642 100%")

class Talks(MLModel):
    async def predict(self, payload):
        raise ValueError("\\U0001f642" * 5_000)
'''


@pytest.fixture
def server(serve, model_folder, tmp_path):
    for name in ("Waits", "Stubborn", "Raises", "Talks"):
        model_folder(name.lower(), MODELS, implementation=f"models.{name}")
    return serve(tmp_path, "--set", "shutdown_grace_period=5")


@pytest.fixture
def ask(frame):
    def make(model, id="7"):
        return frame(REQUEST(model_name=model, id=id).SerializeToString())

    return make


def stop_and_check(server):
    """Nothing is left in flight, and no traceback was logged."""
    assert server.stop() == 0
    text = "\n".join(server.lines)
    assert "Stopping; 0 request(s) in flight" in text
    assert "did not finish" not in text
    assert "Traceback" not in text
    return text


def test_expired_call_ends_the_runtime_and_says_deadline_exceeded(server, connect, ask):
    client = connect(server)
    trailers = client.call(ask("waits"), grpc_timeout="300m")
    assert trailers["grpc-status"] == "4"
    assert trailers["grpc-message"] == "the deadline of the call has passed"
    server.wait_for("ended 7")
    stop_and_check(server)


def test_answer_that_a_runtime_makes_of_its_cancellation_is_too_late(server, connect, ask):
    assert connect(server).call(ask("stubborn"), grpc_timeout="300m")["grpc-status"] == "4"
    stop_and_check(server)


@pytest.mark.parametrize("timeout", ["0S", "1n"])
def test_call_that_has_expired_when_it_comes_reaches_no_model(server, connect, ask, timeout):
    assert connect(server).call(ask("waits"), grpc_timeout=timeout)["grpc-status"] == "4"
    assert "began" not in stop_and_check(server)


def test_deadline_also_holds_while_the_message_comes(server, connect):
    client = connect(server)
    stream = client.open(grpc_timeout="200m")  # and no message follows
    assert client.trailers(stream)["grpc-status"] == "4"
    stop_and_check(server)


def test_reset_call_ends_the_runtime_and_the_connection_goes_on(server, connect, ask, frame):
    client = connect(server)
    stream = client.open()
    client.send(stream, ask("waits"))
    server.wait_for("began 7")
    client.reset(stream)
    server.wait_for("ended 7")
    assert client.call(frame(b""), LIVE)["grpc-status"] == "0"
    stop_and_check(server)


def test_lost_connection_ends_every_runtime_on_it(server, connect, ask):
    client = connect(server)
    for id in ("a", "b"):
        client.send(client.open(), ask("waits", id))
        server.wait_for(f"began {id}")
    client.socket.close()
    ended = {server.wait_for("ended"), server.wait_for("ended")}
    assert ended == {"ended a", "ended b"}
    stop_and_check(server)


def test_grpcio_client_that_cancels_ends_the_runtime(server):
    request = REQUEST(model_name="waits", id="7").SerializeToString()
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary(INFER).future(request)
        server.wait_for("began 7")
        call.cancel()
        assert call.code() is grpc.StatusCode.CANCELLED
        server.wait_for("ended 7")
    stop_and_check(server)


def test_text_of_a_runtime_survives_with_its_lines_and_letters(server, connect, ask):
    trailers = connect(server).call(ask("raises"))
    assert trailers["grpc-status"] == "13"
    text = "ValueError: line one\nline two: Grüße \U0001f642 100%"
    assert unquote(trailers["grpc-message"]) == text
    assert trailers["grpc-message"].isascii()


def test_traceback_of_a_runtime_is_logged_once(server, connect, ask):
    connect(server).call(ask("raises"))
    assert server.stop() == 0
    text = "\n".join(server.lines)
    assert text.count("Traceback") == 1
    assert text.count("ValueError: line one") == 1


def test_long_text_stays_below_what_clients_take(server, connect, ask):
    trailers = connect(server).call(ask("talks"))
    assert trailers["grpc-status"] == "13"
    assert 4000 < len(trailers["grpc-message"]) <= 6000
    assert set(unquote(trailers["grpc-message"]).removeprefix("ValueError: ")) == {"\U0001f642"}
    request = REQUEST(model_name="talks").SerializeToString()
    with grpc.insecure_channel(server.grpc_address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(INFER)(request)
    assert caught.value.details().startswith("ValueError: \U0001f642")


@pytest.mark.parametrize(
    ("replaced", "status"),
    [
        ({":method": "GET"}, "405"),
        ({":method": None}, "405"),
        ({"content_type": "application/json"}, "415"),
        ({"content_type": "application/grpc+json"}, "415"),
        ({"content_type": None}, "415"),
        ({"te": None}, "400"),
        ({":path": "/a.B/C"}, "200"),
    ],
)
def test_what_is_no_call_gets_an_http_status(shared_server, connect, frame, replaced, status):
    client = connect(shared_server)
    stream = client.open(LIVE, **replaced)
    headers = client.trailers(stream)
    assert headers[":status"] == status
    assert headers.get("grpc-status") == {"405": None, "200": "12"}.get(status, "2")
    assert client.call(frame(b""), LIVE)["grpc-status"] == "0"


def test_calls_that_a_stop_ends_are_told(serve, tmp_path, model_folder, connect, ask, frame):
    model_folder("waits", MODELS, implementation="models.Waits")
    server = serve(tmp_path, "--set", "shutdown_grace_period=0.2")
    client = connect(server)
    waits, watch = client.open(), client.open(WATCH)
    client.send(watch, frame(b""))
    client.send(waits, ask("waits"))
    server.wait_for("began 7")
    assert server.stop() == 0
    for stream in (waits, watch):
        trailers = client.trailers(stream)
        assert (trailers["grpc-status"], trailers["grpc-message"]) == (
            "14",
            "the server is stopping",
        )
    assert "ended 7" in server.lines


def test_silent_call_holds_up_no_stop(serve, tmp_path, connect):
    server = serve(tmp_path, "--set", "shutdown_grace_period=30")
    client = connect(server)
    client.open()
    client.trailers(client.open(**{":method": "GET"}))  # both are taken by now
    assert server.stop() == 0
    assert "Stopping; 0 request(s) in flight" in "\n".join(server.lines)
