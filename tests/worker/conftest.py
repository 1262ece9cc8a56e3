"""A real worker process, asked over real sockets, as a server asks it."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys

import attrs
import numpy as np
import pytest

from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import Kind
from mlserver_core.executors.processes.greeting import make_init
from mlserver_core.settings import Settings
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext


def request_of(*data, id=None):
    tensor = RequestInput(name="x", shape=[len(data)], datatype="FP64", data=np.array(data))
    return InferenceRequest(id=id, inputs=[tensor])


@attrs.define(eq=False)
class Server:
    """What a server has of a worker."""

    process: subprocess.Popen
    heartbeat: socket.socket
    connection: Connection | None = attrs.field(default=None, init=False)
    news: list = attrs.field(factory=list)
    closed: asyncio.Event = attrs.field(factory=asyncio.Event)
    _ids: itertools.count = attrs.field(factory=lambda: itertools.count(1))
    _answers: dict = attrs.field(factory=dict)
    _changed: asyncio.Event = attrs.field(factory=asyncio.Event)

    def take(self, frame):
        if frame.call:
            self._answers[frame.call].put_nowait(frame)
        else:
            self.news.append(frame)
            self._changed.set()

    def close(self, error):
        """The worker has ended; whoever waits for something of it is told."""
        self.closed.set()
        self._changed.set()
        for answers in self._answers.values():
            answers.put_nowait(None)

    def begin(self, kind, body):
        """Sends the first frame of a call, and returns its id."""
        id = next(self._ids)
        self._answers[id] = asyncio.Queue()
        self.connection.send(kind, id, body)
        return id

    async def next(self, call):
        frame = await self._answers[call].get()
        assert frame is not None, "the worker has ended"
        return frame

    async def ask(self, kind, body):
        """What a call gives; raises what it ends with."""
        frame = await self.next(self.begin(kind, body))
        if frame.kind is Kind.ERROR:
            raise frame.body
        assert frame.kind is Kind.RESULT
        return frame.body

    async def heard(self, kind, fits=lambda body: True):
        """The first frame of no call that fits, and waits for it."""
        while True:
            for frame in self.news:
                if frame.kind is kind and fits(frame.body):
                    return frame.body
            assert not self.closed.is_set(), "the worker has ended"
            self._changed.clear()
            await self._changed.wait()

    async def logged(self, text):
        """The first log record whose message has a text."""
        return await self.heard(Kind.LOG, lambda body: text in body["message"])

    async def load(self, settings, generation=1, metric_names=()):
        body = {"settings": settings, "metric_names": list(metric_names)}
        return await self.ask(Kind.LOAD, {"generation": generation, **body})

    def begin_predict(self, *data, generation=1, id=None, **context):
        body = {"request": request_of(*data, id=id), "context": RequestContext(**context)}
        return self.begin(Kind.PREDICT, {"generation": generation, **body})

    async def predict(self, *data, generation=1, id=None, **context):
        frame = await self.next(self.begin_predict(*data, generation=generation, id=id, **context))
        if frame.kind is Kind.ERROR:
            raise frame.body
        return frame.body

    async def wait(self):
        """Its exit code."""
        return await asyncio.to_thread(self.process.wait, 30)


@pytest.fixture
async def begin_worker():
    """Starts a worker that has been told nothing yet."""
    servers = []

    async def begin(environ=None, frames=None, **options):
        ours, theirs = frames or socket.socketpair()
        heartbeat, their_heartbeat = socket.socketpair()
        fds = theirs.fileno(), their_heartbeat.fileno()
        clean = {name: value for name, value in os.environ.items() if "MLSERVER" not in name}
        process = subprocess.Popen(  # noqa: ASYNC220  # starting it takes no time
            [sys.executable, "-m", "mlserver_core.worker", *map(str, fds)],
            pass_fds=fds,
            env={**clean, **(environ or {})},
            stdin=subprocess.DEVNULL,
            **options,
        )
        theirs.close()
        their_heartbeat.close()
        server = Server(process, heartbeat)
        if frames is None:  # else the test writes into the socket itself
            server.connection = Connection(ours, server.take, server.close)
        servers.append(server)
        return server

    yield begin
    for server in servers:
        if server.connection is not None:
            server.connection.close()
        server.heartbeat.close()
        server.process.kill()
        server.process.wait()


@pytest.fixture
async def start_worker(begin_worker):
    """Starts a worker that takes models."""

    async def start(levels=None, **settings):
        server = await begin_worker()
        levels = {"": 30, "mlserver": 20} if levels is None else levels
        server.connection.send(Kind.INIT, 0, make_init(Settings(**settings), levels))
        assert (await server.heard(Kind.HELLO))["pid"] == server.process.pid
        return server

    return start
