"""Queues, deadlines and clients that leave, over REST."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

MODELS = """
import asyncio
import threading
import time
from pathlib import Path
from mlserver_core import MLModel, custom_handler
from mlserver_core.types import InferenceResponse, ResponseOutput

GO = Path(__file__).parent.parent / "go"

def word(text):
    output = ResponseOutput(name="word", shape=[1], datatype="BYTES", data=[text])
    return InferenceResponse(outputs=[output])

class Async(MLModel):
    async def predict(self, payload):
        return word(await self.work(payload.id))

    async def predict_stream(self, payloads):
        async for payload in payloads:
            yield word(await self.work(payload.id))
            yield word(await self.work(payload.id))

    @custom_handler(rest_path="/custom/{id}", rest_method="GET")
    async def custom(self, id: str) -> str:
        return await self.work(id)

    async def work(self, id):
        print("BEGAN", id, flush=True)
        try:
            while not GO.exists():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            print("CANCELLED", id, flush=True)
            raise
        print("DONE", id, flush=True)
        return id

class Plain(MLModel):
    def predict(self, payload):
        return word(self.work(payload.id))

    def predict_stream(self, payloads):
        for payload in payloads:
            yield word(self.work(payload.id))

    @custom_handler(rest_path="/custom/{id}", rest_method="GET")
    def custom(self, id: str) -> str:
        return self.work(id)

    def work(self, id):
        print("BEGAN", id, flush=True)
        while not GO.exists():
            time.sleep(0.01)
        print("DONE", id, flush=True)
        return id
"""


@pytest.fixture
def start(serve, model_folder, tmp_path):
    """Starts a server whose model works until a file ``go`` is there."""

    def start_server(implementation, *assignments, **settings):
        model_folder("m", MODELS, implementation=f"models.{implementation}", **settings)
        options = [part for each in assignments for part in ("--set", each)]
        return serve(tmp_path, *options)

    return start_server


@pytest.fixture
def let_go(tmp_path):
    return (tmp_path / "go").touch


def ask(id):
    tensor = {"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}
    return {"id": id, "inputs": [tensor]}


def raw(path, id):
    """The bytes of a call."""
    if path == "custom":
        return f"GET /custom/{id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    body = json.dumps(ask(id)).encode()
    head = f"POST /v2/models/m/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-1", "0", "0.0", "NaN", "inf", "1e3", "1_0", "1,5", "0x1", "²", "1 s", "."],
)
def test_timeout_that_is_no_number_above_0_is_a_400_that_names_the_header(
    shared_server, call, text
):
    headers = {"X-Request-Timeout": text.encode("utf-8")}
    for path in ("infer", "infer_stream"):
        status, _, body = call(shared_server, "POST", f"/v2/models/echo/{path}", ask("1"), headers)
        assert status == 400
        expected = "header X-Request-Timeout: expected seconds above 0, such as 2.5, got "
        assert json.loads(body)["error"].startswith(expected)


@pytest.mark.parametrize("text", ["30", "30.5", "30.", "9" * 20, "9" * 400, "00030"])
def test_timeout_that_is_long_enough_changes_nothing(shared_server, call, text):
    headers = {"X-Request-Timeout": text}
    assert call(shared_server, "POST", "/v2/models/echo/infer", ask("1"), headers)[0] == 200


@pytest.mark.parametrize("implementation", ["Async", "Plain"])
@pytest.mark.parametrize("setting", [False, True])
def test_late_answer_is_a_504_whatever_is_called(start, call, let_go, implementation, setting):
    # In a worker, a plain function that runs on after request_timeout would be ended with it.
    settings = ["request_timeout=0.3", "parallel_workers=0"] if setting else []
    server = start(implementation, *settings)
    headers = {} if setting else {"X-Request-Timeout": ".3"}
    text = "the deadline of the call has passed"
    if setting:
        text = "there was no answer within request_timeout (0.3 seconds)"
    for path in ("infer", "generate", "infer_stream", "generate_stream"):
        got = call(server, "POST", f"/v2/models/m/{path}", ask(path), headers)
        assert (got[0], json.loads(got[2])) == (504, {"error": text})
    got = call(server, "GET", "/custom/handler", None, headers)
    assert (got[0], json.loads(got[2])) == (504, {"error": text})
    if implementation == "Async":
        server.wait_for("CANCELLED handler")
    let_go()
    assert call(server, "POST", "/v2/models/m/infer", ask("last"), headers)[0] == 200
    assert server.stop() == 0
    begun = [line for line in server.lines if line.startswith("BEGAN")]
    # A plain model has one thread, which the first call keeps: the others never begin.
    assert len(begun) == (6 if implementation == "Async" else 2)
    assert "Traceback" not in "\n".join(server.lines)


def test_stream_that_is_late_after_its_first_answer_ends_with_an_error_event(
    serve, model_folder, tmp_path, call
):
    code = """
import asyncio
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    async def predict_stream(self, payloads):
        try:
            yield InferenceResponse(outputs=[])
            await asyncio.Event().wait()
        finally:
            print("CLOSED", flush=True)
"""
    model_folder("m", code, implementation="models.Model", request_timeout=1)
    server = serve(tmp_path)
    status, _, body = call(server, "POST", "/v2/models/m/infer_stream", ask("1"))
    assert status == 200
    assert body.endswith(
        b'event: error\ndata: {"error":"there was no answer within request_timeout (1 seconds)"}'
        b"\n\n"
    )
    server.wait_for("CLOSED")
    assert server.stop() == 0


@pytest.mark.parametrize("implementation", ["Async", "Plain"])
def test_calls_above_the_queue_are_a_429_at_once(start, call, let_go, implementation):
    server = start(implementation, max_queue_size=4)
    with ThreadPoolExecutor(40) as clients:
        calls = [
            clients.submit(call, server, "POST", "/v2/models/m/infer", ask(str(number)))
            for number in range(40)
        ]
        refused = 0
        while refused < 36:  # while not one of the others can be answered
            refused = sum(each.done() for each in calls)
            time.sleep(0.01)
        assert refused == 36
        got = call(server, "POST", "/v2/models/m/infer", ask("x"))
        assert got[0] == 429
        assert got[1]["Retry-After"] == "1"
        assert json.loads(got[2])["error"].startswith("model 'm' works on max_queue_size (4)")
        assert call(server, "POST", "/v2/models/m/infer_stream", ask("x"))[0] == 429
        assert call(server, "GET", "/custom/x")[0] == 429
        assert call(server, "GET", "/v2/health/ready")[0] == 200
        let_go()
    statuses = sorted(each.result()[0] for each in calls)
    assert statuses == [200] * 4 + [429] * 36
    assert call(server, "POST", "/v2/models/m/infer", ask("y"))[0] == 200


def test_call_that_waits_too_long_for_its_thread_is_a_504(start, call, open_socket, let_go):
    server = start("Plain", "queue_timeout=0.2")
    open_socket(server, raw("infer", "first"))
    server.wait_for("BEGAN first")
    for path in ("infer", "infer_stream"):
        got = call(server, "POST", f"/v2/models/m/{path}", ask("second"))
        assert got[0] == 504
        assert "waited more than queue_timeout (0.2 seconds)" in json.loads(got[2])["error"]
    assert call(server, "GET", "/custom/third")[0] == 504
    let_go()
    server.wait_for("DONE first")
    assert call(server, "POST", "/v2/models/m/infer", ask("fourth"))[0] == 200
    assert server.stop() == 0
    assert [each for each in server.lines if "BEGAN" in each] == ["BEGAN first", "BEGAN fourth"]


@pytest.mark.parametrize("path", ["infer", "infer_stream", "custom"])
@pytest.mark.parametrize("timeout", ["", "request_timeout=600"])
def test_work_of_a_client_that_leaves_is_cancelled(start, open_socket, path, timeout):
    server = start("Async", *filter(None, [timeout]))
    client = open_socket(server, raw(path, "7"))
    server.wait_for("BEGAN 7")
    client.close()
    server.wait_for("CANCELLED 7")
    assert server.stop() == 0
    assert "Stopping; 0 request(s) in flight" in "\n".join(server.lines)


@pytest.mark.parametrize("implementation", ["Async", "Plain"])
@pytest.mark.parametrize("timeout", ["", "request_timeout=600"])
def test_calls_that_outlast_the_grace_period_are_told(start, open_socket, implementation, timeout):
    server = start(implementation, "shutdown_grace_period=0.2", *filter(None, [timeout]))
    clients = []
    for path in ("infer", "infer_stream", "custom"):
        clients.append(open_socket(server, raw(path, path)))
        if implementation == "Async" or path == "infer":
            server.wait_for(f"BEGAN {path}")
    assert server.stop() == 0
    for client in clients:
        got = b""
        while received := client.recv(65536):
            got += received
        assert got.startswith(b"HTTP/1.1 503 ")
        assert got.endswith(b'{"error":"the server is stopping"}')


@pytest.mark.parametrize("path", ["infer", "infer_stream", "custom"])
@pytest.mark.parametrize("timeout", ["", "request_timeout=600"])
def test_call_whose_client_leaves_the_queue_never_begins(
    start, open_socket, call, let_go, path, timeout
):
    server = start("Plain", "max_queue_size=2", *filter(None, [timeout]))
    open_socket(server, raw("infer", "first"))
    server.wait_for("BEGAN first")
    client = open_socket(server, raw(path, "second"))

    def wait_until(status):
        """Asks for a place in the queue until that has ``status``; no thread is free meanwhile."""
        headers = {"X-Request-Timeout": "0.1"}
        while call(server, "POST", "/v2/models/m/infer", ask("probe"), headers)[0] != status:
            pass

    wait_until(429)  # the second has taken its place
    client.close()
    wait_until(504)  # and given it back
    let_go()
    server.wait_for("DONE first")
    assert call(server, "POST", "/v2/models/m/infer", ask("last"))[0] == 200
    assert server.stop() == 0
    assert [each for each in server.lines if "BEGAN" in each] == ["BEGAN first", "BEGAN last"]
