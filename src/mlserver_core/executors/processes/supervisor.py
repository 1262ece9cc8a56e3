"""Keeps a number of worker processes alive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from functools import partial

import attrs

from mlserver_core.executors.processes import logs
from mlserver_core.executors.processes.changes import Changes
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.executors.processes.greeting import make_init
from mlserver_core.executors.processes.interpreter import ServerPython, share_cores
from mlserver_core.executors.processes.process import WorkerProcess
from mlserver_core.settings import Settings

logger = logging.getLogger("mlserver.parallel")

#: Seconds before something is tried again that has failed twice; twice as long after each failure
#: that follows, and never longer than the other.
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
#: Seconds after which a process has lived well, and its end counts as a first failure.
_STABLE = 60.0
_PULSE = 1.0
#: Seconds that processes which were killed may take to be gone.
_REAPED = 2.0


@attrs.define(eq=False)
class Supervisor:
    """Starts processes, notices their end, starts others, and ends them.

    Attributes:
        size: how many.
        settings: of the server.
        python: that they run.
        on_frame: is told of each frame of a worker.
        on_beat: is told of each sign of life of a worker.
        on_begun: is told of each worker that can take models.
        on_lost: is told of each that has ended, and why; it may never have begun.
        changes: whatever happens to a worker is noted here.
        begun: how many have ever begun.
        failures: why others have ended before they had begun.
    """

    size: int
    settings: Settings
    python: ServerPython
    on_frame: Callable[[WorkerProcess, Frame], None]
    on_beat: Callable[[WorkerProcess], None]
    on_begun: Callable[[WorkerProcess], None]
    on_lost: Callable[[WorkerProcess, str], None]
    changes: Changes = attrs.field(factory=Changes, init=False)
    begun: int = attrs.field(default=0, init=False)
    failures: list[str] = attrs.field(factory=list, init=False)
    _processes: set[WorkerProcess] = attrs.field(factory=set, init=False)
    _lives: list[asyncio.Task[None]] = attrs.field(factory=list, init=False)
    _pulse: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _stopping: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def start(self) -> None:
        """Begins to start the processes, in the background."""
        for number in range(1, self.size + 1):
            self._lives.append(asyncio.ensure_future(self._keep_alive(number)))
        self._pulse = asyncio.ensure_future(self._check_pulses())

    async def stop(self) -> None:
        """Has the workers unload what they have and end; those that have not after
        ``parallel_workers_timeout`` seconds, or when this is cancelled, are killed.
        """
        self._stopping.set()
        for worker in self._processes:
            if worker.greeted.is_set():
                worker.send(Kind.STOP, 0)
            else:
                worker.kill("the server stops")
        try:
            await asyncio.wait(self._lives, timeout=self.settings.parallel_workers_timeout)
        finally:
            for worker in self._processes:
                worker.kill("did not stop in time")
            if self._pulse is not None:
                self._pulse.cancel()
            # Also where this is cancelled: what is killed takes no time, and is to be reaped.
            await asyncio.wait(self._lives, timeout=_REAPED)

    async def pause(self, seconds: float) -> None:
        """Waits; no longer than until ``stop``."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _keep_alive(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            started = loop.time()
            worker = WorkerProcess(number, self.on_frame, self.on_beat)
            reason = await self._live(worker)
            if not self._stopping.is_set():
                failures = 1 if loop.time() - started > _STABLE else failures + 1
                delay = delay_after(failures)
                again = f"in {delay:g} seconds" if delay else "at once"
                logger.error("%s has ended: %s; another is started %s", worker, reason, again)
                await self.pause(delay)

    async def _live(self, worker: WorkerProcess) -> str:
        """The life of one worker; returns what it ended of."""
        environ = share_cores(self.python.environ(os.environ), self.size)
        begin = asyncio.ensure_future(self._begin(worker))
        self._processes.add(worker)
        try:
            init = make_init(self.settings, logs.levels())
            await worker.start(partial(self.python.command, self.settings), environ, init)
            reason = await worker.wait()
        except asyncio.CancelledError:
            worker.kill("the server stops")
            raise
        except Exception as error:  # noqa: BLE001  # whoever waits for the worker is told
            reason = f"it cannot be started: {error}"
        finally:
            begin.cancel()
            self._processes.discard(worker)
        if not worker.greeted.is_set():
            self.failures.append(reason)
        self.on_lost(worker, reason)
        self.changes.note()
        return reason

    async def _begin(self, worker: WorkerProcess) -> None:
        await worker.greeted.wait()
        self.begun += 1
        self.on_begun(worker)
        self.changes.note()

    async def _check_pulses(self) -> None:
        while True:
            await asyncio.sleep(_PULSE)
            for worker in self._processes:
                worker.check_pulse(self.settings.worker_heartbeat_timeout)


def delay_after(failures: int) -> float:
    """Seconds before the next try, after so many failures in a row."""
    return 0.0 if failures < 2 else min(_FIRST_DELAY * 2 ** (failures - 2), _LONGEST_DELAY)
