"""Frames between two ends of a socket pair, on both event loops."""

import asyncio
import socket

import numpy as np
import pytest
import uvloop

from mlserver_core.errors import RuntimeFailed
from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import Kind

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine function on a loop of its own, of either kind."""
    loop = LOOPS[request.param]()
    yield loop.run_until_complete
    loop.close()


class End:
    """One end of a connection, and what came out of it."""

    def __init__(self, sock, on_frame=None):
        self.frames = asyncio.Queue()
        self.closed = asyncio.get_running_loop().create_future()
        self.on_frame = on_frame or self.frames.put_nowait
        self.connection = Connection(sock, self._receive, self.closed.set_result)

    def _receive(self, frame):
        self.on_frame(frame)

    def send(self, *arguments):
        self.connection.send(*arguments)


def open_pair():
    left, right = socket.socketpair()
    return End(left), End(right)


@pytest.mark.parametrize("size", [4, 1 << 20])
def test_an_array_comes_back_from_the_other_end(run, size):
    async def exchange():
        left, right = open_pair()
        right.on_frame = lambda frame: right.send(Kind.RESULT, frame.call, frame.body)
        sent = np.arange(size, dtype=np.float32)
        left.send(Kind.PREDICT, 7, {"x": sent})
        frame = await left.frames.get()
        assert (frame.kind, frame.call) == (Kind.RESULT, 7)
        assert np.array_equal(frame.body["x"], sent)
        frame.body["x"][:] = 0
        left.connection.close()
        assert await right.closed is None
        assert await left.closed is None

    run(exchange())


def test_what_cannot_be_sent_is_named(run):
    async def exchange():
        left, right = open_pair()
        with pytest.raises(RuntimeFailed, match=r"^a\.b\[1\]: expected .*, got object$"):
            left.send(Kind.RESULT, 1, {"a": {"b": [1, object()]}})
        left.connection.close()
        right.connection.close()

    run(exchange())


def test_nothing_can_be_sent_after_the_end(run):
    async def exchange():
        left, right = open_pair()
        left.connection.close()
        left.connection.close()
        with pytest.raises(ConnectionError):
            left.send(Kind.RESULT, 1)
        assert await right.closed is None
        with pytest.raises(ConnectionError):
            right.send(Kind.RESULT, 1)

    run(exchange())
