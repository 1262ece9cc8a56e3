"""A number of worker processes that all have the same models."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import attrs

from mlserver_core.errors import ModelLoadError, WorkerLost
from mlserver_core.executors.interfaces import ModelDescription, ModelSource
from mlserver_core.executors.processes import logs
from mlserver_core.executors.processes.calls import Call
from mlserver_core.executors.processes.dispatcher import Dispatcher
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.executors.processes.generation import Generation
from mlserver_core.executors.processes.interpreter import ServerPython
from mlserver_core.executors.processes.process import WorkerProcess
from mlserver_core.executors.processes.recovery import LostBeside, Recovery
from mlserver_core.executors.processes.supervisor import Supervisor
from mlserver_core.settings import ModelSettings, Settings

logger = logging.getLogger("mlserver.parallel")

#: Processes that may end before they have begun, until the load of a model is given up.
_MOST_FAILURES = 3


@attrs.define(eq=False)
class Pool:
    """Has workers load and unload models, and takes what they send.

    Attributes:
        size: how many workers.
        settings: of the server.
        python: that the workers run.
        dispatcher: gives them calls.
        supervisor: keeps them alive.
    """

    size: int
    settings: Settings
    python: ServerPython = attrs.field(factory=ServerPython)
    dispatcher: Dispatcher = attrs.field(init=False)
    supervisor: Supervisor = attrs.field(init=False)
    _recovery: Recovery = attrs.field(init=False)
    _known: dict[int, Generation] = attrs.field(factory=dict, init=False)
    #: What every worker is to have, also one that is started later: loads that have succeeded.
    _serving: dict[int, Generation] = attrs.field(factory=dict, init=False)
    _numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1), init=False)
    _alone: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _tasks: set[asyncio.Task[Any]] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.dispatcher = Dispatcher(self._note_sent, self._note_quarantined)
        self.supervisor = Supervisor(
            self.size,
            self.settings,
            self.python,
            on_frame=self._take,
            on_beat=self.dispatcher.note_beat,
            on_begun=self._begin,
            on_lost=self._lose,
        )
        self._recovery = Recovery(
            serving=self._serving,
            workers=self.dispatcher.workers,
            load=self._load_in,
            pause=self.supervisor.pause,
        )

    def start(self) -> None:
        """Begins to start the workers, in the background."""
        self.supervisor.start()

    async def load(self, source: ModelSource) -> tuple[Generation, ModelDescription]:
        """Loads a model in every worker; where it fails in one of them, none has it.

        Where workers serve already one goes first, since a model may end the process that loads
        it. One that was lost with models that were loaded beside it is loaded again alone.

        Raises:
            ModelLoadError: says why.
        """
        try:
            with contextlib.suppress(LostBeside):
                return await self._load(source)
            async with self._alone:
                while True:  # until none that is loaded for the first time was beside it
                    with contextlib.suppress(LostBeside):
                        return await self._load(source)
        except WorkerLost as error:
            raise ModelLoadError(source.settings.name, error.message) from None

    async def _load(self, source: ModelSource) -> tuple[Generation, ModelDescription]:
        generation = Generation(number=next(self._numbers), source=source)
        self._known[generation.number] = generation
        try:
            workers = await self._begun(source.settings)
            first = workers[:1] if self._serving else workers
            descriptions = await _all([self._load_in(each, generation) for each in first])
            rest = workers[len(first) :]
            descriptions += await _all([self._load_in(each, generation) for each in rest])
        except BaseException:
            self._spawn(self.unload(generation))
            raise
        self._serving[generation.number] = generation
        for worker in self.dispatcher.workers:
            if generation.number not in worker.asked:  # it was started meanwhile
                self._spawn(self._recovery.catch_up(worker, generation))
        return generation, descriptions[0]

    async def unload(self, generation: Generation) -> None:
        """Unloads a model in every worker; raises what its ``unload`` raises."""
        number = generation.number
        self._serving.pop(number, None)
        having = [each for each in self.dispatcher.workers if number in each.asked]
        for worker in having:
            worker.forget(number)
        self.dispatcher.refuse_unservable()
        try:
            await _all([self._ask(each, Kind.UNLOAD, number) for each in having])
        except WorkerLost:  # with the process everything of the model is gone
            logger.debug("A worker has ended while it unloaded model %r", generation.name)
        finally:
            self._known.pop(number, None)
            self.dispatcher.quarantine.forget(number)

    async def idle(self, generation: Generation) -> None:
        """Returns when no worker has anything to do for a load of a model."""
        while any(
            call.generation == generation.number
            for worker in self.dispatcher.workers
            for call in worker.calls.values()
        ):
            await self.supervisor.changes.wait()

    def end_stuck(self, worker: WorkerProcess, id: int, seconds: float) -> None:
        """Ends the worker that is still at a call long after its time was up.

        Args:
            worker: that was asked.
            id: of the call; nobody waits for it any more.
            seconds: what it was allowed.
        """
        call = worker.calls.get(id)
        generation = None if call is None else self._known.get(call.generation)
        if call is None or generation is None or worker.culprit is not None:
            return
        name = generation.name
        request = call.context.request_id if call.context is not None else None
        logger.error(
            "%s is still at request %s of model %r, which was allowed %g seconds",
            worker,
            request,
            name,
            seconds,
        )
        worker.culprit = call
        worker.kill(f"a request of model {name!r} was stuck in it")

    async def stop(self) -> None:
        """Ends the workers, as ``Supervisor.stop``."""
        try:
            await self.supervisor.stop()
        finally:
            for task in self._tasks:
                task.cancel()

    async def _begun(self, settings: ModelSettings) -> list[WorkerProcess]:
        """The workers that have begun, once each has or has failed to; the least busy first."""
        failures = self.supervisor.failures
        failed = len(failures)
        while self.supervisor.begun + len(failures) < self.size or not self.dispatcher.workers:
            if len(failures) - failed >= _MOST_FAILURES:
                text = f"no worker process can be started: {failures[-1]}"
                raise ModelLoadError(settings.name, text)
            await self.supervisor.changes.wait()
        return sorted(self.dispatcher.workers, key=lambda each: len(each.calls))

    def _begin(self, worker: WorkerProcess) -> None:
        """A new worker loads what the others have."""
        self.dispatcher.workers.append(worker)
        self._spawn(self._recovery.bring_up(worker, list(self._serving.values())))

    def _lose(self, worker: WorkerProcess, reason: str) -> None:
        if worker in self.dispatcher.workers:
            self.dispatcher.workers.remove(worker)
        loads = sum(task.kind is Kind.LOAD for task in worker.tasks.values())
        lost = WorkerLost if loads < 2 else LostBeside
        for task in worker.tasks.values():
            task.fail(lost(f"the worker has ended ({reason})"))
        self.dispatcher.lose(worker, reason)

    async def _load_in(self, worker: WorkerProcess, generation: Generation) -> ModelDescription:
        number, source = generation.number, generation.source
        worker.asked.add(number)
        body = {
            "settings": source.settings,
            "runtime": source.runtime if self.python.shares_plugins else None,
            "metric_names": [] if source.metrics is None else list(source.metrics.taken()),
        }
        description: ModelDescription = await self._ask(worker, Kind.LOAD, number, body)
        generation.failure = ""
        if number in worker.asked:
            worker.loaded.setdefault(number, worker.said.pop(number, True))
            self.dispatcher.pump()
        else:  # it was unloaded meanwhile, when there was nothing to unload yet
            with contextlib.suppress(WorkerLost):
                await self._ask(worker, Kind.UNLOAD, number)
        return description

    async def _ask(self, worker: WorkerProcess, kind: Kind, number: int, body: Any = None) -> Any:
        """Has one worker do something that is no request, however long that takes."""
        everything = {"generation": number, **(body or {})}
        task = Call(kind=kind, generation=number, body=everything, id=next(self.dispatcher.ids))
        if worker not in self.dispatcher.workers:
            raise WorkerLost("the worker has ended")
        worker.tasks[task.id] = task
        task.sent_at = time.monotonic()
        try:
            worker.send(kind, task.id, task.body)
            return await task.ended
        finally:
            del worker.tasks[task.id]
            self.dispatcher.pump()  # a call may have waited to be alone in the worker

    def _take(self, worker: WorkerProcess, frame: Frame) -> None:
        """Takes a frame of a worker."""
        kind = frame.kind
        if kind in (Kind.RESULT, Kind.ERROR, Kind.END):
            task = worker.tasks.get(frame.call)
            if task is None:
                self.dispatcher.finish(worker, frame)
                self.supervisor.changes.note()
            elif kind is Kind.ERROR:
                task.fail(frame.body)
            else:
                task.succeed(frame.body)
        elif kind in (Kind.ITEM, Kind.WANT):
            call = worker.calls.get(frame.call)
            if call is not None and call.frames is not None:
                call.frames.put_nowait(frame)
        elif kind is Kind.READY:
            worker.note_ready(frame.body["generation"], ready=frame.body["ready"])
        elif kind is Kind.LOG:
            logs.emit(frame.body)
        elif kind is Kind.METRICS:
            self._count(frame.body)

    def _count(self, body: dict[str, Any]) -> None:
        generation = self._known.get(body["generation"])
        if generation is not None:
            generation.count(body)

    def _note_sent(self, call: Call) -> None:
        generation = self._known.get(call.generation)
        metrics = None if generation is None else generation.source.metrics
        if metrics is not None and call.worker is not None:
            metrics.observe_outstanding(len(call.worker.calls))

    def _note_quarantined(self, call: Call) -> None:
        generation, request = self._known.get(call.generation), call.request
        if generation is not None and request is not None:
            inputs = [f"{each.name} {each.datatype} {each.shape}" for each in request.inputs]
            logger.error(
                "Request %s of model %r has ended two workers and is refused from now on: %s",
                request.id,
                generation.name,
                ", ".join(inputs),
            )

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("A pool of workers failed", exc_info=task.exception())


async def _all(work: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Does several things side by side, waits for all of them, and raises what one raised."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes
