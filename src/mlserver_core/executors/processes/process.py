"""One worker process, as the server sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from mlserver_core.executors.processes import logs
from mlserver_core.executors.processes.calls import Call
from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.executors.processes.greeting import mismatch
from mlserver_core.executors.processes.room import Room

logger = logging.getLogger("mlserver.parallel")

#: Seconds that a process may take to be gone once its connection is, and the other way round.
_LINGER = 0.5
#: Makes the command of a worker of the descriptors that it is to use.
Command = Callable[[int, int], Sequence[str]]
#: Beats that may be missing before the first one has come: imports from a cold disk take long.
_FIRST_BEAT = 120


@attrs.define(eq=False)
class WorkerProcess:
    """A process, the connection to it, and what it has been asked.

    Attributes:
        number: names it in the log, together with the process id.
        on_frame: is told of each frame that comes from it.
        on_beat: is told of each sign of life.
        calls: what it was asked and has not finished, by id.
        room: what of it is taken by those.
        tasks: what else it is doing for the pool, such as loading a model, by id.
        loaded: the loads of models that it has, and whether each says that it is ready.
        said: what others have said of themselves, before their load was over here.
        asked: the loads that it has been asked for, whatever came of them.
        greeted: it has started, and takes models.
        reason: what it is being ended for; None while nothing is known against it.
        culprit: the call that it is being ended for, if it is one.
        beats: signs of life that have come.
    """

    number: int
    on_frame: Callable[[WorkerProcess, Frame], None]
    on_beat: Callable[[WorkerProcess], None]
    calls: dict[int, Call] = attrs.field(factory=dict, init=False)
    room: Room = attrs.field(factory=Room, init=False)
    tasks: dict[int, Call] = attrs.field(factory=dict, init=False)
    asked: set[int] = attrs.field(factory=set, init=False)
    loaded: dict[int, bool] = attrs.field(factory=dict, init=False)
    said: dict[int, bool] = attrs.field(factory=dict, init=False)
    greeted: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    reason: str | None = attrs.field(default=None, init=False)
    culprit: Call | None = attrs.field(default=None, init=False)
    beats: int = attrs.field(default=0, init=False)
    _process: asyncio.subprocess.Process | None = attrs.field(default=None, init=False)
    _connection: Connection | None = attrs.field(default=None, init=False)
    _heart: socket.socket | None = attrs.field(default=None, init=False)
    _closed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _heard: bytes = attrs.field(default=b"", init=False)
    _missed: int = attrs.field(default=0, init=False)

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"

    @property
    def pid(self) -> int:
        """Its process id; 0 before it is started."""
        return self._process.pid if self._process is not None else 0

    async def start(self, command: Command, environ: Mapping[str, str], init: Any) -> None:
        """Starts the process. ``greeted`` is set once it can take models.

        Args:
            command: what it runs, with the descriptors of its sockets.
            environ: its variables.
            init: the body of INIT.

        Raises:
            OSError: it cannot be started. Whatever is wrong with ``init`` comes through.
        """
        ours, theirs = socket.socketpair()
        heart, their_heart = socket.socketpair()
        try:
            for each in (ours, heart):
                each.setblocking(False)
            self._process = await asyncio.create_subprocess_exec(
                *command(theirs.fileno(), their_heart.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), their_heart.fileno()),
                env=dict(environ),
                start_new_session=True,  # Ctrl-C is for the server, which then stops its workers
            )
        except BaseException:
            ours.close()
            heart.close()
            raise
        finally:
            theirs.close()
            their_heart.close()
        self._heart = heart
        asyncio.get_running_loop().add_reader(heart.fileno(), self._beat)
        self._connection = Connection(ours, self._take, self._note_closed)
        try:
            self._connection.send(Kind.INIT, 0, init)
        except BaseException:
            self._kill_group()
            self._close()
            await self._process.wait()
            raise
        if self.reason is not None:  # it was to be ended while it was being started
            self._kill_group()

    def send(self, kind: Kind, call: int, body: Any = None) -> None:
        """Sends a frame. What is sent to a process that is gone is lost with it.

        Raises:
            RuntimeFailed: ``body`` holds what cannot be sent.
        """
        if self._connection is None:
            return
        try:  # noqa: SIM105  # suppress() takes three calls, for each request
            self._connection.send(kind, call, body)
        except ConnectionError:  # its end is noticed elsewhere
            pass

    def note_ready(self, generation: int, *, ready: bool) -> None:
        """Notes what a model says of itself, which may come before the end of its load."""
        if generation in self.asked:
            (self.loaded if generation in self.loaded else self.said)[generation] = ready

    def forget(self, generation: int) -> None:
        """It is to have a load of a model no more."""
        self.asked.discard(generation)
        self.loaded.pop(generation, None)
        self.said.pop(generation, None)

    def check_pulse(self, most_missed: float) -> None:
        """To be called once a second: ends a process that has not beaten for too long.

        Beats are counted against calls of this method and no clock, so that a server that was
        itself stopped for a while does not blame its workers.
        """
        self._missed += 1
        limit = most_missed if self.beats else max(most_missed, _FIRST_BEAT)
        if self._missed > limit:
            self.kill(f"gave no sign of life for {most_missed:g} seconds")

    def kill(self, reason: str) -> None:
        """Ends the process and whatever it has started, at once."""
        self.reason = self.reason or reason
        self.loaded.clear()  # it gets no more calls
        self._kill_group()

    async def wait(self) -> str:
        """Waits for its end, takes what it has still sent, and returns what became of it."""
        assert self._process is not None  # noqa: S101  # start() came first
        exited = asyncio.ensure_future(self._process.wait())
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({exited, closed}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({exited, closed}, timeout=_LINGER)
            if not exited.done():
                self.kill("closed its connection")
            code = await exited
        finally:
            closed.cancel()
            exited.cancel()
            self._kill_group()  # what it has started goes with it
            self._close()
        return self.reason or _describe(code)

    def _kill_group(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _note_closed(self, _: Exception | None) -> None:
        self.loaded.clear()  # before its end is certain: it gets no more calls
        self._closed.set()

    def _close(self) -> None:
        if self._heart is not None:
            asyncio.get_running_loop().remove_reader(self._heart.fileno())
            self._heart.close()
            self._heart = None
        if self._connection is not None:
            self._connection.close()

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.HELLO:
            problem = mismatch(frame.body.get("protocol"), frame.body.get("version"))
            if problem:
                self.kill(problem)
            else:
                self.greeted.set()
        else:
            self.on_frame(self, frame)

    def _beat(self) -> None:
        assert self._heart is not None  # noqa: S101  # its reader is removed first
        with contextlib.suppress(BlockingIOError):
            came = self._heart.recv(65536)
            *lines, self._heard = (self._heard + came).split(b"\n")
            for line in filter(None, lines):
                with contextlib.suppress(ValueError):  # the end of a long one may not have fitted
                    logs.emit(json.loads(line))
            if came:
                self._missed = 0
                self.beats += 1
                self.on_beat(self)
            else:
                asyncio.get_running_loop().remove_reader(self._heart.fileno())


def _describe(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
