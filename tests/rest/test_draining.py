"""Real keep-alive clients of a server that gets SIGTERM."""

from __future__ import annotations

import http.client
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest

MODELS = """
import asyncio
from mlserver_core import MLModel, custom_handler
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])

    async def predict_stream(self, payloads):
        async for _ in payloads:
            yield InferenceResponse(outputs=[])

    @custom_handler(rest_path="/hello", rest_method="GET")
    def hello(self) -> str:
        return "hello"
"""
REQUEST = json.dumps({"inputs": []})
LIVE = b"GET /v2/health/live HTTP/1.%d\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"


@pytest.fixture
def start(serve, model_folder, tmp_path):
    """Starts a server with settings as on the command line."""

    def start_server(*assignments):
        model_folder("m", MODELS, implementation="models.Model")
        return serve(tmp_path, *(part for each in assignments for part in ("--set", each)))

    return start_server


def begin_to_drain(server):
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("Not ready any more")


def read_answer(client):
    """An answer with a short JSON body."""
    answer = b""
    while not answer.endswith(b"}"):
        piece = client.recv(4096)
        assert piece, answer
        answer += piece
    return answer


def post(path):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(REQUEST)}\r\n\r\n"
    return (head + REQUEST).encode()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (post("/v2/models/m/infer"), b"200"),
        (post("/v2/models/m/infer_stream"), b"200"),
        (post("/v2/models/unknown/infer"), b"404"),
        (b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (LIVE % 0, b"200"),
    ],
    ids=["infer", "stream", "error", "custom", "ready", "nowhere", "http10"],
)
def test_every_answer_of_a_draining_server_is_the_last_on_its_connection(
    start, open_socket, asked, status
):
    server = start("drain_delay=600")
    client = open_socket(server, LIVE % 1)
    assert b"connection: close" not in read_answer(client).lower()
    begin_to_drain(server)
    client.sendall(asked)
    with client.makefile("rb") as answers:
        head, _, body = answers.read().partition(b"\r\n\r\n")  # up to the end of the connection
    assert head.split(b" ")[1] == status
    assert head.lower().count(b"connection: ") == 1
    assert b"connection: close" in head.lower()
    if b"stream" in asked:
        assert b"data: {" in body
        assert body.endswith(b"0\r\n\r\n")


def test_old_client_of_http_1_0_keeps_its_connection_until_the_server_drains(start, open_socket):
    server = start("drain_delay=600")
    client = open_socket(server, LIVE % 0)
    assert b"connection: keep-alive" in read_answer(client).lower()
    begin_to_drain(server)
    client.sendall(LIVE % 0)
    assert b"connection: close" in read_answer(client).lower()
    assert client.recv(1) == b""


def test_connection_that_is_idle_when_the_signal_comes_stays_open_while_the_server_drains(
    start, open_socket
):
    server = start("drain_delay=600")
    idle = [open_socket(server, LIVE % 1), open_socket(server)]
    read_answer(idle[0])
    begin_to_drain(server)
    for client in idle:
        client.sendall(LIVE % 1)
        assert b" 200 " in read_answer(client)


def test_keep_alive_clients_lose_no_request_while_the_server_drains(start):
    server = start("drain_delay=600")
    drains = Event()

    def ask_on():
        statuses = []
        with closing(http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)) as kept:
            while True:
                told = drains.is_set()
                kept.request("POST", "/v2/models/m/infer", REQUEST)
                with kept.getresponse() as answer:
                    answer.read()
                    statuses.append(answer.status)
                    if answer.headers["Connection"] == "close":
                        return statuses
                    assert not told, "it drains, and keeps a connection"

    with ThreadPoolExecutor(8) as threads:
        asking = [threads.submit(ask_on) for _ in range(8)]
        begin_to_drain(server)
        drains.set()
        assert {status for each in asking for status in each.result()} == {200}


def test_request_whose_body_is_still_on_the_way_is_answered_after_the_listener_closed(
    start, open_socket
):
    server = start("shutdown_grace_period=60")
    client = open_socket(server, b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n")
    client.sendall(b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(REQUEST))
    assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("1 request(s) are still being read")
    client.sendall(REQUEST.encode())
    with client.makefile("rb") as answers:
        head, _, body = answers.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in head.lower()
    assert json.loads(body) == {"error": "the server is stopping"}
    assert server.wait() == 0


def test_body_that_never_comes_does_not_hold_up_the_end(start, open_socket):
    server = start("shutdown_grace_period=0.1")
    client = open_socket(server, b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n")
    client.sendall(b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
    assert server.stop() == 0
