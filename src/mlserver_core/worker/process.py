"""A worker from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Mapping

import attrs

from mlserver_core.codecs import Codecs
from mlserver_core.engine import main_loop
from mlserver_core.engine.parts import Parts, collect_parts, load_plugins
from mlserver_core.engine.watchdog import LoopWatchdog
from mlserver_core.executors.interfaces import ExecutorFactory
from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import BrokenFrame, Frame, Kind
from mlserver_core.executors.processes.greeting import make_hello, read_init
from mlserver_core.executors.processes.logs import to_body
from mlserver_core.hooks.registry import Registry
from mlserver_core.settings import Settings
from mlserver_core.worker.lifeline import Lifeline, guard
from mlserver_core.worker.logs import start_shipping
from mlserver_core.worker.models import Models
from mlserver_core.worker.sender import Sender
from mlserver_core.worker.work import Work

#: Seconds between two looks at what models say of their ``ready``.
_LOOK = 0.5


logger = logging.getLogger("mlserver")


@attrs.define(eq=False)
class Worker:
    """One worker, in its event loop.

    Attributes:
        lifeline: to the server too, for what cannot wait for the event loop.
        sender: to the server.
        work: what the server asks for; None until it has said what its settings are.
    """

    lifeline: Lifeline
    sender: Sender = attrs.field(factory=Sender, init=False)
    work: Work | None = attrs.field(default=None, init=False)
    _stopping: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    async def run(self, frames: socket.socket) -> None:
        """Works until the server says STOP, and unloads the models then.

        Args:
            frames: the socket to the server. When it is closed the process ends at once.
        """
        self.sender.connection = Connection(frames, self._take, self._lost)
        looking = asyncio.ensure_future(self._look())
        await self._stopping.wait()
        looking.cancel()
        if self.work is not None:
            await self.work.models.unload_all()
        await self.sender.connection.drain()

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.STOP:
            self._stopping.set()
        elif self.work is not None:
            self.work.take(frame)
        elif frame.kind is Kind.INIT:
            greeting = read_init(frame.body)
            if greeting is not None:
                self.work = self._begin(*greeting)
            # A server that speaks another protocol learns so of HELLO, and ends this process.
            self.sender.send(Kind.HELLO, 0, make_hello(os.getpid()))
        else:
            raise BrokenFrame(f"expected INIT first, got {frame.kind.name}")

    def _begin(self, settings: Settings, levels: Mapping[str, int]) -> Work:
        """Raises PluginError."""
        start_shipping(self.sender, levels)
        if settings.loop_lag_warning:
            loop, seconds = asyncio.get_running_loop(), settings.loop_lag_warning
            LoopWatchdog(loop, "event loop", seconds, self._log_now).start()
        return Work(settings, Models(settings, make_parts(settings), self.sender), self.sender)

    def _log_now(self, level: int, text: str) -> None:
        """Logs what happens while the event loop, which sends all other records, is held up."""
        if logger.isEnabledFor(level):
            record = logger.makeRecord(logger.name, level, __file__, 0, text, (), None)
            self.lifeline.say(to_body(record))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            if self.work is not None:
                self.work.models.report_all_ready()

    def _lost(self, error: Exception | None) -> None:
        """Without a server nobody waits for what is going on here."""
        self.sender.closed = True
        with contextlib.suppress(OSError, ValueError):
            if error is not None:
                sys.stderr.write(f"worker {os.getpid()} ends: {error}\n")
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(1)


def make_parts(settings: Settings) -> Parts:
    """What plugins bring, for models that live in this process; raises PluginError."""
    plugins = load_plugins(os.environ)
    runtimes: Registry[str] = Registry("runtime")
    executors: Registry[ExecutorFactory] = Registry("executor")
    codecs = Codecs()
    collect_parts(plugins, runtimes, codecs)
    plugins.collect("mlserver_register_executors", executors, registry=executors, settings=settings)
    return Parts(runtimes=runtimes, codecs=codecs, executors=executors, workers=None)


def run(frames: int, heartbeat: int) -> None:
    """Runs a worker, and ends the process.

    Args:
        frames: the descriptor of a connected socket that frames go over.
        heartbeat: the descriptor of another, for signs of life.
    """
    sockets = socket.socket(fileno=frames), socket.socket(fileno=heartbeat)
    guard(*sockets)
    lifeline = Lifeline(sockets[1])
    lifeline.start()
    # aiohttp reads this: there is no socket here that a file could be sent into.
    os.environ["AIOHTTP_NOSENDFILE"] = "1"

    async def work() -> None:
        await Worker(lifeline).run(sockets[0])

    main_loop.run(work())
    main_loop.end(0)
