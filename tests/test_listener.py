"""Connections that come at once, at the end, and when there is no room for them."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack

import pytest
import uvloop

from mlserver_core.errors import StartupError
from mlserver_core.listener import Listener
from mlserver_core.settings import Settings

LONG = 30
MANY = 200


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def __init__(self, made):
        self.made = made
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.made.append(self)

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, error):
        self.lost.set_result(None)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Runs what a coroutine does, on each of the two loops."""
    loop = request.param()
    yield loop.run_until_complete
    loop.close()


@pytest.fixture
def made():
    """What has been connected."""
    return []


@pytest.fixture
def listener(made):
    """Makes a listener of echoing connections."""

    def make(host="127.0.0.1", port=0, protocol=lambda: Echo(made)):
        settings = Settings(host=host, http_port=port)
        return Listener(settings, protocol, name="REST", setting="http_port")

    return make


@pytest.fixture
def connect():
    """Opens connections; they are closed at the end."""
    with ExitStack() as opened:
        yield lambda port, host="127.0.0.1": opened.enter_context(
            socket.create_connection((host, port), timeout=LONG)
        )


def exchange(client, sent=b"x"):
    """The first bytes of an answer; none where the connection is closed instead."""
    try:
        client.sendall(sent)
        return client.recv(65536)
    except ConnectionError:
        return b""


async def close_all(listener, made):
    await listener.stop()
    for each in made:
        each.transport.close()
        await each.lost


def test_those_who_come_at_once_are_taken_in_a_few_turns_of_the_loop(run, listener, made, connect):
    async def main():
        listening = listener()
        await listening.start()
        clients = [connect(listening.port) for _ in range(MANY)]  # the loop does not run
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(made) == MANY
        assert [await asyncio.to_thread(exchange, each) for each in clients] == [b"x"] * MANY
        await close_all(listening, made)

    run(main())


def test_what_is_ready_has_its_turn_between_those_who_come(run, listener, made, connect):
    async def main():
        listening = listener()
        await listening.start()
        clients = [connect(listening.port) for _ in range(MANY)]
        seen = set()
        while len(made) < MANY:
            await asyncio.sleep(0)
            seen.add(len(made))
        assert len(seen - {0, MANY}) >= 2
        assert clients
        await close_all(listening, made)

    run(main())


def test_after_a_stop_the_port_is_free_and_open_connections_go_on(run, listener, made, connect):
    async def main():
        first = listener()
        await first.start()
        client = connect(first.port)
        assert await asyncio.to_thread(exchange, client) == b"x"
        await first.stop()
        with pytest.raises(ConnectionRefusedError):
            connect(first.port)
        second = listener(port=first.port)
        await second.start()
        assert second.port == first.port
        assert await asyncio.to_thread(exchange, connect(second.port)) == b"x"
        assert await asyncio.to_thread(exchange, client) == b"x"
        await first.stop()  # once more changes nothing
        await close_all(second, made)

    run(main())


@pytest.mark.parametrize("turns", range(6))
def test_connections_that_come_with_the_stop_are_served_or_closed(
    run, listener, made, connect, turns
):
    async def main():
        listening = listener()
        await listening.start()
        clients = [connect(listening.port) for _ in range(10)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await listening.stop()
        complete = len(made)
        answers = [await asyncio.to_thread(exchange, each) for each in clients]
        assert answers.count(b"x") == len(made) == complete
        assert answers.count(b"") == 10 - complete
        await close_all(listening, made)

    run(main())


def test_answers_are_not_held_back_by_the_system(run, listener, made, connect):
    async def main():
        listening = listener()
        await listening.start()
        await asyncio.to_thread(exchange, connect(listening.port))
        taken = made[0].transport.get_extra_info("socket")
        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert taken.gettimeout() == 0
        await close_all(listening, made)

    run(main())


def test_a_connection_without_a_protocol_is_closed(run, listener, connect):
    async def main():
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: reported.append(said))

        def protocol():
            raise ValueError("no protocol")

        listening = listener(protocol=protocol)
        await listening.start()
        assert await asyncio.to_thread(exchange, connect(listening.port)) == b""
        await listening.stop()
        assert [str(each["exception"]) for each in reported] == ["no protocol"]

    run(main())


def test_a_second_listener_on_a_port_is_refused_with_the_setting(run, listener):
    async def main():
        first = listener()
        await first.start()
        with pytest.raises(StartupError) as refused:
            await listener(port=first.port).start()
        text = str(refused.value)
        assert text.startswith(f"REST cannot listen on 127.0.0.1:{first.port}: Address already")
        assert "set http_port (MLSERVER_HTTP_PORT, --http-port) to a free port" in text
        await first.stop()

    run(main())


def test_a_host_that_nobody_knows_is_refused_with_the_setting(run, listener):
    with pytest.raises(StartupError, match="set host") as refused:
        run(listener("nowhere.invalid").start())
    assert str(refused.value).startswith("REST cannot listen on nowhere.invalid:0: ")


def has_ipv6():
    """Whether this machine has ``::1``; some containers have not."""
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["::1", "localhost", "0.0.0.0", "::", ""])
def test_every_address_of_a_host_answers_on_one_port(run, listener, made, connect, host):
    if ":" in host and not has_ipv6():
        pytest.skip("no IPv6 on this machine")

    async def main():
        listening = listener(host)
        await listening.start()
        found = socket.getaddrinfo(host or None, listening.port, type=socket.SOCK_STREAM)
        families = {socket.AF_INET, socket.AF_INET6} if has_ipv6() else {socket.AF_INET}
        for address in {each[4][0] for each in found if each[0] in families}:
            client = connect(listening.port, address)
            assert await asyncio.to_thread(exchange, client) == b"x"
        await close_all(listening, made)

    run(main())


@pytest.fixture
def resolve(monkeypatch):
    """Lets a name have addresses; this machine's files are nothing that a test may change."""

    def set_addresses(*addresses):
        def find(host, port, *_, **__):
            families = (socket.AF_INET6 if ":" in each else socket.AF_INET for each in addresses)
            return [
                (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
                for family, address in zip(families, addresses, strict=True)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", find)

    return set_addresses


async def test_an_address_of_a_host_that_is_not_here_is_left_out(resolve, listener, made, connect):
    resolve("192.0.2.1", "127.0.0.1", "127.0.0.1")  # the first is reserved for documentation
    listening = listener("host.test")
    await listening.start()
    resolve("127.0.0.1")
    assert await asyncio.to_thread(exchange, connect(listening.port)) == b"x"
    await close_all(listening, made)


async def test_a_taken_address_leaves_the_others_of_the_host_free(resolve, listener):
    if not has_ipv6():
        pytest.skip("no IPv6 on this machine")
    with socket.socket() as taken, socket.socket(socket.AF_INET6) as other:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        resolve("::1", "127.0.0.1")
        with pytest.raises(StartupError, match="Address already in use"):
            await listener("host.test", port).start()
        other.bind(("::1", port))


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
GET = b"GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
TRANSPORTS = [
    pytest.param("http_port", GET % b"/v2/health/live", b"HTTP/1.1 200", id="rest"),
    pytest.param("grpc_port", PREFACE, b"\0\0", id="grpc"),
    pytest.param("metrics_port", GET % b"/metrics", b"HTTP/1.1 200", id="metrics"),
]

BLOCKING = """
import time
from pathlib import Path
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Blocking(MLModel):
    async def predict(self, payload):
        print("ENTERED", flush=True)
        while not (Path(__file__).parent / "go").exists():
            time.sleep(0.01)
        return InferenceResponse(outputs=[])
"""
BODY = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}'
INFER = (
    b"POST /v2/models/m/infer HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
)


@pytest.mark.parametrize(("port", "sent", "answer"), TRANSPORTS)
def test_those_who_come_while_a_model_holds_the_loop_are_all_answered(
    serve, model_folder, connect, port, sent, answer
):
    folder = model_folder("m", BLOCKING, implementation="models.Blocking")
    server = serve(folder.parent, MLSERVER_PARALLEL_WORKERS="0")
    asking = connect(server.http_port)
    asking.sendall(INFER)
    server.wait_for("ENTERED")
    clients = [connect(getattr(server, port)) for _ in range(MANY)]
    (folder / "go").touch()
    assert {exchange(each, sent)[: len(answer)] for each in clients} == {answer}
    assert asking.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.stop() == 0


CROWDED = """
import os
import resource
from mlserver_core import MLModel

class Crowded(MLModel):
    async def load(self):
        most = len(os.listdir("/dev/fd")) + 20
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return True
"""


def count(server, text):
    return sum(text in line for line in server.lines)


@pytest.mark.parametrize(
    ("port", "sent", "answer", "name"),
    [(*each.values, name) for each, name in zip(TRANSPORTS[:2], ("REST", "gRPC"), strict=True)],
    ids=["rest", "grpc"],
)
def test_a_server_out_of_files_says_so_waits_and_takes_connections_again(
    serve, model_folder, connect, port, sent, answer, name
):
    folder = model_folder("m", CROWDED, implementation="models.Crowded")
    server = serve(folder.parent, MLSERVER_PARALLEL_WORKERS="0")
    began = time.monotonic()
    clients = [connect(getattr(server, port)) for _ in range(40)]
    said = server.wait_for(f"{name} cannot take a connection")
    assert "Too many open files; let the process have more open files (ulimit -n)" in said
    assert exchange(clients[0], sent).startswith(answer)  # one that was taken before
    server.wait_for(f"{name} cannot take a connection")
    for each in clients[:30]:
        each.close()
    assert {exchange(each, sent)[: len(answer)] for each in clients[30:]} == {answer}
    assert server.stop() == 0
    lines, seconds = count(server, "cannot take a connection"), time.monotonic() - began
    assert lines <= seconds + 1


def test_a_server_out_of_files_stops_as_any_other(serve, model_folder, connect):
    folder = model_folder("m", CROWDED, implementation="models.Crowded")
    server = serve(folder.parent, MLSERVER_PARALLEL_WORKERS="0")
    clients = [connect(server.http_port) for _ in range(40)]
    server.wait_for("REST cannot take a connection")
    assert server.stop() == 0
    assert {each.recv(1) for each in clients[:10]} == {b""}
    assert count(server, "Traceback") == 0
