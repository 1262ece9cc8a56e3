"""Decides which worker gets which call, and what becomes of the calls of one that is lost."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable

import attrs

from mlserver_core.errors import (
    DeadlineExceeded,
    InvalidRequest,
    MLServerError,
    Quarantined,
    RuntimeFailed,
    Unavailable,
    WorkerLost,
)
from mlserver_core.executors.processes.calls import Call
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.executors.processes.process import WorkerProcess
from mlserver_core.executors.processes.quarantine import Quarantine, Verdict

logger = logging.getLogger("mlserver.parallel")

#: Calls, and bytes of tensors, that one worker is given before it has finished some. What is above
#: waits here, where any worker can take it and where none is lost with a worker.
MOST_CALLS = 128
MOST_BYTES = 256 * 2**20


@attrs.define(eq=False)
class Dispatcher:
    """Gives calls to the workers of one pool.

    Attributes:
        workers: those that take calls; the pool adds and removes them.
        quarantine: the requests that have ended workers.
        ids: names what is asked.
        on_sent: is told of each call that a worker gets.
    """

    on_sent: Callable[[Call], None]
    workers: list[WorkerProcess] = attrs.field(factory=list, init=False)
    quarantine: Quarantine = attrs.field(factory=Quarantine, init=False)
    ids: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1), init=False)
    _waiting: deque[Call] = attrs.field(factory=deque, init=False)
    #: Calls that were in a worker when it was lost. Each is asked again alone, so that the one
    #: that is to blame is found and no other is blamed with it.
    _suspects: deque[Call] = attrs.field(factory=deque, init=False)
    _isolated: tuple[Call, WorkerProcess] | None = attrs.field(default=None, init=False)
    #: Signs of life that the worker of ``_isolated`` had given when it was chosen.
    _beats: int = attrs.field(default=0, init=False)

    def can_serve(self, generation: int) -> bool:
        """Is there a worker that has this load of a model?"""
        return any(generation in worker.loaded for worker in self.workers)

    def place(self, call: Call) -> None:
        """Gives a call to a worker, now or when one can take it. ``call.ended`` gets the answer.

        Raises:
            Unavailable: no worker has the model.
            Quarantined: the request has ended two workers.
            InvalidRequest: it holds what cannot be sent.
        """
        if call.request is not None and not call.merged:
            verdict = self.quarantine.verdict(call.generation, call.request)
            if verdict is Verdict.GUILTY:
                raise _quarantined()
            if call.suspect:  # one of a batch that was lost
                self.quarantine.note(call.generation, call.request, Verdict.SUSPECT)
            call.suspect = call.suspect or verdict is Verdict.SUSPECT
        if not self.can_serve(call.generation):
            raise _unavailable()
        if call.suspect:
            self._suspects.append(call)
            self._isolate()
            return
        worker = None if self._waiting else self._free_worker(call)
        if worker is None:
            self._waiting.append(call)
            self._expire_later(call)
        else:
            self._send(call, worker)

    def give_up(self, call: Call, *, expired: bool) -> None:
        """Nobody waits for a call any more; a worker that is at it is told.

        Args:
            call: whose ``ended`` is cancelled.
            expired: has its time run out, as opposed to a client that left?
        """
        worker = call.worker
        if worker is not None and call.id in worker.calls:
            worker.send(Kind.CANCEL, call.id, {"expired": expired})
        elif self._isolated is not None and self._isolated[0] is call:
            self._isolated = None
            self.pump()
        elif call in self._waiting:
            self._waiting.remove(call)

    def finish(self, worker: WorkerProcess, frame: Frame) -> None:
        """Takes the end of a call from a worker."""
        call = worker.calls.pop(frame.call, None)
        if call is None:
            return
        worker.bytes_out -= call.size
        if frame.kind is Kind.ERROR:
            call.fail(frame.body)
        else:
            call.succeed(frame.body)
        if self._isolated is not None and self._isolated[0] is call:
            self._isolated = None
        if call.suspect and call.request is not None:
            self.quarantine.clear(call.generation, call.request)
        self.pump()

    def note_beat(self, worker: WorkerProcess) -> None:
        """A worker has given a sign of life."""
        if self._isolated is not None and self._isolated[1] is worker:
            self._isolate()

    def lose(self, worker: WorkerProcess, reason: str) -> None:
        """A worker has ended: asks others for what it had not answered.

        Args:
            worker: it is not among ``workers`` any more.
            reason: what became of it.
        """
        if self._isolated is not None and self._isolated[1] is worker:
            call = self._isolated[0]
            self._isolated = None
            if call.id not in worker.calls:  # it waited for the worker to be idle
                self._suspects.appendleft(call)
        calls, worker.calls = list(worker.calls.values()), {}
        for call in calls:
            # Where code held up the event loop, whatever was too late may be what held it up.
            suspect = worker.culprit in (None, call) or call.ended.done()
            self._lose_call(call, reason, suspect=suspect)
        self.refuse_unservable()
        self.pump()

    def refuse_unservable(self) -> None:
        """Fails the waiting calls for models that no worker has any more."""
        for calls in (self._waiting, self._suspects):
            for call in [call for call in calls if not self.can_serve(call.generation)]:
                calls.remove(call)
                call.fail(_unavailable())

    def pump(self) -> None:
        """Gives waiting calls to the workers that can take them."""
        self._isolate()
        while self._waiting:
            call = self._waiting[0]
            worker = None if call.ended.done() else self._free_worker(call)
            if worker is None and not call.ended.done():
                return
            self._waiting.popleft()
            if worker is not None:
                self._try_send(call, worker)

    def _isolate(self) -> None:
        """Asks the next suspect, in a worker that does nothing else meanwhile.

        The worker has to give a sign of life before: one that was killed together with the first
        and has not been missed yet would be held against the call.
        """
        if self._isolated is None:
            self._isolated = self._next_isolated()
            self._beats = self._isolated[1].beats if self._isolated is not None else 0
        if self._isolated is not None:
            call, worker = self._isolated
            if not worker.calls and worker.beats > self._beats:
                self._try_send(call, worker)

    def _next_isolated(self) -> tuple[Call, WorkerProcess] | None:
        while self._suspects:
            call = self._suspects.popleft()
            able = [each for each in self.workers if call.generation in each.loaded]
            if self._is_guilty(call):  # by another one that is the same
                call.fail(_quarantined())
            elif not able:
                call.fail(_unavailable())
            elif not call.ended.done():
                return call, min(able, key=lambda each: len(each.calls))
        return None

    def _free_worker(self, call: Call) -> WorkerProcess | None:
        """The worker with the fewest calls, of those that have the model and room for it; one
        whose model has lowered its ``ready`` comes last.
        """
        reserved = self._isolated[1] if self._isolated is not None else None
        best: tuple[tuple[bool, int], WorkerProcess] | None = None
        for worker in self.workers:
            fits = len(worker.calls) < MOST_CALLS and (
                worker.bytes_out == 0 or worker.bytes_out + call.size <= MOST_BYTES
            )
            if fits and worker is not reserved and call.generation in worker.loaded:
                rank = not worker.loaded[call.generation], len(worker.calls)
                if best is None or rank < best[0]:
                    best = rank, worker
        return None if best is None else best[1]

    def _try_send(self, call: Call, worker: WorkerProcess) -> None:
        try:
            self._send(call, worker)
        except MLServerError as error:
            call.fail(error)
            if self._isolated is not None and self._isolated[0] is call:
                self._isolated = None

    def _send(self, call: Call, worker: WorkerProcess) -> None:
        call.id = next(self.ids)
        try:
            worker.send(call.kind, call.id, call.body)
        except RuntimeFailed as error:
            if call.request is None:
                raise
            raise InvalidRequest(f"the request cannot be given to a worker: {error}") from None
        if call.frames is not None:
            worker.send(Kind.NEXT, call.id)
        call.worker = worker
        call.sent += 1
        worker.calls[call.id] = call
        worker.bytes_out += call.size
        self.on_sent(call)

    def _lose_call(self, call: Call, reason: str, *, suspect: bool) -> None:
        if suspect and call.request is not None and not call.merged:
            verdict = Verdict.GUILTY if call.suspect else Verdict.SUSPECT  # suspects are alone
            self.quarantine.note(call.generation, call.request, verdict)
            if verdict is Verdict.GUILTY:
                logger.error(
                    "Request %s has ended two workers and is refused from now on", call.request.id
                )
        call.suspect = call.suspect or suspect
        if call.ended.done():
            return
        if self._is_guilty(call):
            call.fail(_quarantined())
        elif call.merged:
            call.fail(WorkerLost(_text(reason)))
        elif not self._may_ask_again(call):
            call.fail(Unavailable(_text(reason)))
        elif call.suspect:
            self._suspects.append(call)
        else:
            self._waiting.appendleft(call)

    def _is_guilty(self, call: Call) -> bool:
        request = call.request
        if request is None or call.merged:
            return False
        return self.quarantine.verdict(call.generation, request) is Verdict.GUILTY

    def _may_ask_again(self, call: Call) -> bool:
        unary = call.frames is None
        return unary and call.idempotent and call.sent < 2 and self.can_serve(call.generation)

    def _expire_later(self, call: Call) -> None:
        start_by = call.context.start_by if call.context is not None else None
        if start_by is None:
            return
        left = max(0.0, start_by - time.monotonic())
        timer = asyncio.get_running_loop().call_later(left, self._expire, call)
        call.ended.add_done_callback(lambda _: timer.cancel())

    def _expire(self, call: Call) -> None:
        if call in self._waiting:
            self._waiting.remove(call)
            call.fail(DeadlineExceeded("no worker was free within queue_timeout"))


def _unavailable() -> Unavailable:
    return Unavailable("no worker can serve the model right now")


def _quarantined() -> Quarantined:
    return Quarantined(
        "the request has ended two workers and is refused for ten minutes, or until the model is "
        "loaded anew; the server's log names it"
    )


def _text(reason: str) -> str:
    return f"the worker that was to answer the request has ended ({reason}); try again"
