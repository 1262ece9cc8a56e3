from __future__ import annotations

import json
import signal
import socket

import pytest

MODEL = '''
import asyncio
from mlserver_core import MLModel
from mlserver_core.errors import InferenceError
from mlserver_core.types import InferenceResponse, ResponseOutput


def word(text, **headers):
    output = ResponseOutput(name="word", shape=[1], datatype="BYTES", data=[text])
    return InferenceResponse(outputs=[output], parameters={"headers": headers, "kept": 1})


class Model(MLModel):
    """Does what the name of the first input says."""

    async def predict_stream(self, payloads):
        async for payload in payloads:
            how = payload.inputs[0].name
            if how == "refuses":
                raise InferenceError("not this one")
            if how == "not_utf8_first":
                yield word(b"\\xff")
            if how == "nothing":
                return
            if how == "waits":
                await self.wait()
            yield word("one", **{"X-First": "1", "cache-control": "public"})
            if how == "fails":
                raise ValueError("after the first")
            if how == "not_utf8":
                yield word(b"\\xff")
            if how == "floods":
                for number in range(10_000):
                    self.settings.parameters.extra["sent"] = number
                    yield word("x" * 100_000)
            if how == "hangs":
                await self.wait()
            yield word("two", **{"X-First": "2"})

    async def wait(self):
        print("WAITING", flush=True)
        try:
            await asyncio.sleep(600)
        finally:
            print("CLOSED", flush=True)

    async def predict(self, payload):
        return word(str(self.settings.parameters.extra.get("sent")))
'''


@pytest.fixture(scope="module")
def server(served):
    return served({"m": MODEL, "echo": None})


def ask(how, id="7"):
    tensor = {"name": how, "shape": [1], "datatype": "INT8", "data": [1]}
    return {"id": id, "inputs": [tensor]}


def events(body):
    """The kind and the data of every event of a stream that ended as it should."""
    assert body.endswith(b"\n\n") or not body
    found = []
    for event in body.decode().split("\n\n")[:-1]:
        *kind, data = event.split("\n")
        assert data.startswith("data: ")
        found.append(("".join(kind).removeprefix("event: "), json.loads(data[6:])))
    return found


def answer_of(text, id="7"):
    return {
        "model_name": "m",
        "id": id,
        "parameters": {"kept": 1},
        "outputs": [{"name": "word", "shape": [1], "datatype": "BYTES", "data": [text]}],
    }


def raw_post(how, model="m"):
    body = json.dumps(ask(how)).encode()
    head = f"POST /v2/models/{model}/infer_stream HTTP/1.1\r\nHost: x\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


def read_until(client, text):
    got = b""
    while text not in got:
        received = client.recv(65536)
        assert received, got
        got += received
    return got


@pytest.mark.parametrize("name", ["infer_stream", "generate_stream"])
@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}])
def test_each_answer_is_an_event(server, call, name, headers):
    status, got, body = call(server, "POST", f"/v2/models/m/{name}", ask("ok"), headers)
    assert status == 200
    assert got["Content-Type"] == "text/event-stream; charset=utf-8"
    assert got.get_all("Cache-Control") == ["no-cache"]
    assert got["X-Accel-Buffering"] == "no"
    assert "Content-Encoding" not in got
    assert events(body) == [("", answer_of("one")), ("", answer_of("two"))]
    assert b'": ' not in body


def test_headers_of_the_first_answer_are_headers_and_no_event_has_any(server, call):
    _, headers, body = call(server, "POST", "/v2/models/m/infer_stream", ask("ok"))
    assert headers["X-First"] == "1"
    assert headers["Ce-Id"] == headers["X-Request-ID"] == "7"
    assert headers["Ce-Endpoint"] == "m"
    assert b"headers" not in body


def test_id_is_made_and_is_that_of_every_event(server, call):
    _, headers, body = call(server, "POST", "/v2/models/m/infer_stream", ask("ok", id=None))
    assert {event["id"] for _, event in events(body)} == {headers["X-Request-ID"]}


def test_model_that_does_not_stream_answers_in_one_event(server, call):
    _, _, body = call(server, "POST", "/v2/models/echo/generate_stream", ask("x"))
    (event,) = events(body)
    assert event[1]["outputs"] == [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]


def test_generate_is_infer(server, call):
    status, headers, body = call(server, "POST", "/v2/models/echo/generate", ask("x"))
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["outputs"][0]["data"] == [1]


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("nope", ask("ok"), 404, "Model nope not found"),
        ("m/versions/9", ask("ok"), 404, "Model m with version 9 not found"),
        ("m", b"{", 400, "the request body is not valid JSON"),
        ("m", {"inputs": [{**ask("ok")["inputs"][0], "shape": [2]}]}, 400, "tensor 'ok': shape"),
        ("m", ask("refuses"), 400, "not this one"),
        ("m", ask("not_utf8_first"), 500, "the answer cannot be sent as JSON: an output holds"),
    ],
)
def test_error_before_the_first_answer_has_its_status(server, call, path, body, status, text):
    got, headers, answer = call(server, "POST", f"/v2/models/{path}/infer_stream", body)
    assert (got, headers["Content-Type"]) == (status, "application/json")
    assert list(json.loads(answer)) == ["error"]
    assert json.loads(answer)["error"].startswith(text)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("fails", "ValueError: after the first"),
        (
            "not_utf8",
            "the answer cannot be sent as JSON: an output holds bytes that are not UTF-8 text; "
            "encode it with the content type base64, or ask over gRPC",
        ),
    ],
)
def test_error_after_the_first_answer_is_an_event_and_the_stream_ends_well(server, call, how, text):
    status, _, body = call(server, "POST", "/v2/models/m/infer_stream", ask(how))
    assert status == 200
    assert events(body) == [("", answer_of("one")), ("error", {"error": text})]


def test_stream_without_an_answer_is_empty(server, call):
    status, headers, body = call(server, "POST", "/v2/models/m/infer_stream", ask("nothing"))
    assert (status, body) == (200, b"")
    assert headers["Content-Type"].startswith("text/event-stream")


def test_event_is_sent_while_the_model_works_on_the_next(server, open_socket):
    client = open_socket(server, raw_post("hangs"))
    got = read_until(client, b"\n\n\r\n")
    assert b"200 OK" in got
    assert json.dumps("one").encode() in got


@pytest.mark.parametrize("how", ["hangs", "waits"])
def test_model_is_closed_when_the_client_leaves(server, open_socket, how):
    client = open_socket(server, raw_post(how))
    server.wait_for("WAITING")
    client.close()
    server.wait_for("CLOSED")


def test_client_that_reads_slowly_is_waited_for(server, open_socket, call):
    client = open_socket(server, raw_post("floods"))
    read_until(client, b"\n\n\r\n")

    def sent():
        _, _, body = call(server, "POST", "/v2/models/m/infer", ask("ok"))
        return json.loads(body)["outputs"][0]["data"][0]

    same, last = 0, None
    while same < 50:
        now = sent()
        same, last = (same + 1 if now == last else 0), now
    assert int(last) < 9_999


def test_stream_in_flight_is_finished_when_the_server_stops(serve, model_folder, tmp_path):
    model_folder("m", FINISHES, implementation="models.Model")
    server = serve(tmp_path)
    with _connect(server) as client:
        client.sendall(raw_post("x"))
        got = read_until(client, b"\n\n\r\n")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("1 request(s) in flight")
        (tmp_path / "go").touch()
        got += _rest(client)
        assert server.wait() == 0
    assert got.count(b"data: ") == 2
    assert b"event: error" not in got
    assert got.endswith(b"\r\n0\r\n\r\n")


def test_stream_that_does_not_end_in_time_ends_with_an_error(serve, model_folder, tmp_path):
    model_folder("m", MODEL, implementation="models.Model")
    server = serve(tmp_path, "--set", "shutdown_grace_period=0.5")
    with _connect(server) as client:
        client.sendall(raw_post("hangs"))
        got = read_until(client, b"\n\n\r\n")
        assert server.stop() == 0
        got += _rest(client)
    assert b'event: error\ndata: {"error":"the server is stopping"}\n\n' in got
    assert got.endswith(b"\r\n0\r\n\r\n")


def test_stream_that_has_no_answer_yet_when_the_server_stops_is_a_503(
    serve, model_folder, tmp_path
):
    model_folder("m", MODEL, implementation="models.Model")
    server = serve(tmp_path, "--set", "shutdown_grace_period=0.5")
    with _connect(server) as client:
        client.sendall(raw_post("waits"))
        server.wait_for("WAITING")
        assert server.stop() == 0
        got = _rest(client)
    assert got.startswith(b"HTTP/1.1 503 ")
    assert got.endswith(b'{"error":"the server is stopping"}')


FINISHES = """
import asyncio
from pathlib import Path
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    async def predict_stream(self, payloads):
        yield InferenceResponse(outputs=[])
        while not (Path(__file__).parent.parent / "go").exists():
            await asyncio.sleep(0.01)
        yield InferenceResponse(outputs=[])
"""


def _connect(server):
    return socket.create_connection(("127.0.0.1", server.http_port), timeout=30)


def _rest(client):
    got = b""
    while received := client.recv(65536):
        got += received
    return got
