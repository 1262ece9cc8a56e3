"""Signals to real processes: what a server does from the first one to its end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
import pytest

from mlserver_core import MLServer, Settings
from mlserver_core.grpc.messages import load_messages
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager

LONG = 120
MODELS = """
import asyncio
import threading
import time
from pathlib import Path
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

GO = Path(__file__).parent.parent / "go"

class Answers(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])

class Async(Answers):
    async def predict(self, payload):
        print("ENTERED", flush=True)
        while not GO.exists():
            await asyncio.sleep(0.01)
        return await super().predict(payload)

class Plain(MLModel):
    def predict(self, payload):
        print("ENTERED", flush=True)
        while not GO.exists():
            time.sleep(0.01)
        return InferenceResponse(outputs=[])

class Blocking(Answers):
    async def predict(self, payload):
        print("ENTERED", flush=True)
        time.sleep(600)

class Stubborn(MLModel):
    async def predict(self, payload):
        print("ENTERED", flush=True)
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                print("STAYS", flush=True)

class Elsewhere(Answers):
    async def predict(self, payload):
        print("ENTERED", flush=True)
        await asyncio.to_thread(threading.Event().wait)

class Threaded(Answers):
    async def load(self):
        threading.Thread(target=threading.Event().wait, name="mine").start()

class Unloading(Answers):
    async def unload(self):
        print("ENTERED", flush=True)
        await asyncio.sleep(600)

class Quick(MLModel):
    def predict(self, payload):
        time.sleep(0.002)
        return InferenceResponse(outputs=[])
"""
REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}
INFER = "/v2/models/m/infer"


@pytest.fixture
def start(serve, model_folder, tmp_path):
    """Starts a server with one model, and settings as on the command line."""

    def start_server(implementation, *assignments):
        model_folder("m", MODELS, implementation=f"models.{implementation}")
        return serve(tmp_path, *(part for each in assignments for part in ("--set", each)))

    return start_server


@pytest.fixture
def let_go(tmp_path):
    return (tmp_path / "go").touch


@pytest.fixture
def background():
    """Runs something in a thread, and hands back its future."""
    with ThreadPoolExecutor(20) as threads:
        yield threads.submit


def fetch(server, path, body=None):
    """The status of an answer, over a connection of its own."""
    headers = {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        sent = urllib.request.Request(server.url + path, data, headers)
        with urllib.request.urlopen(sent, timeout=LONG) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def call(server, method):
    """The reply of a gRPC call without a request."""
    service, name = method.rsplit("/", 1)
    replies = load_messages().get(f"{service.rsplit('.', 1)[0]}.{REPLIES[name]}")
    with grpc.insecure_channel(server.grpc_address) as channel:
        return channel.unary_unary(f"/{method}", response_deserializer=replies.FromString)(b"")


REPLIES = {"Check": "HealthCheckResponse"}


def server_ready(server):
    """What gRPC's ServerReady says."""
    with grpc.insecure_channel(server.grpc_address) as channel:
        return channel.unary_unary("/inference.GRPCInferenceService/ServerReady")(b"") != b""


def ended_by(server, number):
    """Sends a signal, again where it came so soon that it was one with the first, and returns the
    exit code.
    """
    while server.process.poll() is None:
        server.process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(0.5)
    return server.wait()


def test_signal_that_comes_twice_at_once_is_one(start, background):
    server = start("Answers", "drain_delay=0.5")
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGINT)
    assert server.wait() == 0


def test_server_that_drains_is_not_ready_and_still_answers(start):
    server = start("Answers", "drain_delay=600")
    assert fetch(server, "/v2/health/ready") == 200
    assert server_ready(server)
    assert call(server, "grpc.health.v1.Health/Check").status == 1
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("Not ready any more; takes work for another 600")
    assert fetch(server, "/v2/health/ready") == 400
    assert not server_ready(server)
    assert call(server, "grpc.health.v1.Health/Check").status == 2
    assert fetch(server, "/v2/health/live") == 200
    assert fetch(server, "/v2/models/m/ready") == 200
    assert fetch(server, INFER, REQUEST) == 200
    infer = load_messages().get("inference.ModelInferRequest")(model_name="m", id="7")
    with grpc.insecure_channel(server.grpc_address) as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert ask(infer.SerializeToString())
    assert ended_by(server, signal.SIGTERM) == 128 + signal.SIGTERM


def test_server_refuses_what_comes_after_the_delay_and_finishes_what_came_before(
    start, background, let_go
):
    server = start("Async", "drain_delay=0.1", "shutdown_grace_period=60")
    kept = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=LONG)
    kept.request("GET", "/v2/health/live")
    kept.getresponse().read()
    with grpc.insecure_channel(server.grpc_address) as channel:
        infer = load_messages().get("inference.ModelInferRequest")(model_name="m", id="7")
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        asked = [background(fetch, server, INFER, REQUEST), ask.future(infer.SerializeToString())]
        for _ in asked:
            server.wait_for("ENTERED")
        server.process.send_signal(signal.SIGTERM)
        while is_open(server.http_port) or is_open(server.grpc_port):
            pass
        kept.request("POST", INFER, json.dumps(REQUEST), {"Content-Type": "application/json"})
        answer = kept.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["Connection"] == "close"
        assert json.load(answer) == {"error": "the server is stopping"}
        with pytest.raises(grpc.RpcError) as refused:
            ask(infer.SerializeToString())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not any(each.done() for each in asked)
        let_go()
        assert asked[0].result() == 200
        assert asked[1].result()
    kept.close()
    assert server.wait() == 0


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_the_process_at_once(start, background, first, second):
    server = start("Async", "shutdown_grace_period=600")
    asked = background(fetch, server, INFER, REQUEST)
    server.wait_for("ENTERED")
    server.process.send_signal(first)
    assert f"Stopping on {first.name}; another signal stops at once" in server.wait_for("Stopping")
    server.wait_for("1 request(s) in flight")
    assert ended_by(server, second) == 128 + second
    assert isinstance(asked.exception(), OSError)
    text = f"Second signal ({second.name}): stopping at once, without waiting for anything"
    assert any(text in line for line in server.lines)


@pytest.mark.parametrize("implementation", ["Plain", "Stubborn"])
def test_second_signal_does_not_wait_for_code_that_cannot_be_stopped(
    start, background, implementation
):
    server = start(implementation, "shutdown_grace_period=600")
    asked = background(fetch, server, INFER, REQUEST)
    server.wait_for("ENTERED")
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("1 request(s) in flight")
    assert ended_by(server, signal.SIGTERM) == 128 + signal.SIGTERM
    assert asked.exception() is not None


def test_second_signal_ends_a_process_whose_loop_is_blocked(start, background):
    server = start("Blocking", "loop_lag_warning=0.1", "parallel_workers=0")
    asked = background(fetch, server, INFER, REQUEST)
    server.wait_for("has blocked the event loop")
    server.process.send_signal(signal.SIGTERM)  # which nobody can see to
    code = None
    while code is None:  # two signals that come together are one
        server.process.send_signal(signal.SIGTERM)
        code = server.process.poll()
    assert server.wait() == 128 + signal.SIGTERM
    assert asked.exception() is not None


BLOCKED_LOG = """
import asyncio
import logging
import os
import sys

from mlserver_core.signals import StopSignals

async def main():
    def stop(number):
        print("STOPPING", file=sys.stderr, flush=True)

    StopSignals(asyncio.get_running_loop(), stop).listen()
    logging.basicConfig(stream=sys.stdout)
    os.set_blocking(1, False)
    try:
        while True:
            os.write(1, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(1, True)
    print("STARTED", file=sys.stderr, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_second_signal_does_not_wait_for_a_log_that_nobody_reads():
    command = [sys.executable, "-c", BLOCKED_LOG]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stderr.readline() == "STARTED\n"
        process.send_signal(signal.SIGTERM)
        assert process.stderr.readline() == "STOPPING\n"
        for _ in range(LONG):  # one that comes too soon is one with the first
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM


def test_second_signal_does_not_wait_for_an_unload(start):
    server = start("Unloading", "shutdown_grace_period=600")
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("ENTERED")
    assert ended_by(server, signal.SIGTERM) == 128 + signal.SIGTERM


def test_model_that_does_not_let_itself_be_cancelled_holds_up_no_end(start, background):
    server = start("Stubborn", "shutdown_grace_period=0.1", "parallel_workers=0")
    asked = background(fetch, server, INFER, REQUEST)
    server.wait_for("ENTERED")
    assert server.stop() == 0
    assert "A model does not let its work be cancelled" in "\n".join(server.lines)
    assert asked.exception() is not None


def test_thread_of_the_event_loop_that_never_returns_holds_up_no_end(start, background):
    server = start("Elsewhere", "shutdown_grace_period=0.1", "parallel_workers=0")
    asked = background(fetch, server, INFER, REQUEST)
    server.wait_for("ENTERED")
    assert server.stop() == 0
    assert "Threads do not end: asyncio.to_thread_" in "\n".join(server.lines)
    assert asked.result() == 503


def test_thread_of_a_model_that_never_returns_holds_up_no_end(start):
    server = start("Threaded", "parallel_workers=0")
    assert server.stop() == 0
    assert "Threads do not end: mine; the process ends without them" in "\n".join(server.lines)


SHELF = """
import asyncio
import threading

class Shelf:
    asked = 0

    def __init__(self, root):
        pass

    async def find(self, name):
        return []

    async def list(self):
        self.asked += 1
        if self.asked > 1:
            print("ENTERED", flush=True)
            await asyncio.to_thread(threading.Event().wait)
        return []
"""


def test_listing_whose_thread_never_returns_holds_up_no_end(serve, write, tmp_path, background):
    write("shelf.py", SHELF)
    implementation = "model_repository_implementation=shelf.Shelf"
    server = serve(tmp_path, "--set", implementation, "--set", "shutdown_grace_period=600")
    asked = background(fetch, server, "/v2/repository/index", {})
    server.wait_for("ENTERED")
    assert server.stop() == 0
    assert asked.result() == 503


@pytest.mark.parametrize("implementation", ["Quick", "Answers"])
def test_server_under_load_answers_or_refuses_every_request_when_it_stops(
    start, background, implementation
):
    server = start(implementation)
    begun, stopped = threading.Semaphore(0), threading.Event()

    def ask_on():
        outcomes = set()
        while not stopped.is_set():
            try:
                outcomes.add(fetch(server, INFER, REQUEST))
            except OSError:  # nobody listens any more
                outcomes.add("refused")
            begun.release()
        return outcomes

    asking = [background(ask_on) for _ in range(8)]
    for _ in range(100):
        assert begun.acquire(timeout=LONG)
    code = server.stop()
    stopped.set()
    outcomes = set().union(*(each.result() for each in asking))
    assert code == 0
    assert 200 in outcomes
    assert outcomes <= {200, 503, "refused"}
    assert "did not finish" not in "\n".join(server.lines)
    assert sum("Stopping on SIGTERM" in line for line in server.lines) == 1
    assert sum("Unloaded model m" in line for line in server.lines) == 1


TWO_SERVERS = """
import asyncio
import sys
from mlserver_core import MLServer, ModelSettings, Settings

async def main():
    servers = []
    for name in ("first", "second", "third"):
        settings = Settings(http_port=0, grpc_port=0, metrics_port=0, parallel_workers=0)
        servers.append(MLServer(settings))
        servers[-1].stop_on_signals()
        await servers[-1].startup([ModelSettings(name=name, implementation="echo")])
    for name in sys.argv[1:]:
        await servers[int(name)].stop()
    print("STARTED", flush=True)
    await asyncio.gather(*(server.wait_stopped() for server in servers))
    print("STOPPED", flush=True)

if sys.platform != "win32" and "uvloop" in sys.argv[0]:
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("gone", [(), ("0",), ("2",), ("1", "2")])
def test_one_signal_stops_every_server_of_a_process(tmp_path, loop, gone):
    script = tmp_path / f"with_{loop}.py"
    script.write_text(TWO_SERVERS)
    process = subprocess.Popen(
        [sys.executable, script, *gone], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    with process:
        assert process.stdout.readline() == "STARTED\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=LONG)[0] == "STOPPED\n"
    assert process.returncode == 0


async def test_signals_do_what_they_did_before_once_the_servers_have_stopped():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    plugins = PluginManager()
    plugins.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": "rest,grpc,metrics"})
    servers = [MLServer(Settings(), plugins=plugins) for _ in range(3)]
    for server in servers:
        server.stop_on_signals()
    for server in (servers[1], servers[0], servers[2]):
        await server.stop()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
