"""Decides which worker gets which call, and what becomes of the calls of one that is lost."""

from __future__ import annotations

import asyncio
import itertools
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
from mlserver_core.executors.processes.room import find_room, is_loaded
from mlserver_core.executors.processes.waiting import Waiting

#: Seconds after which nobody waits any more for a call that a worker is at: for a stream, or code
#: that hangs, that could be for ever.
_SETTLED = 10.0


@attrs.define(eq=False)
class Dispatcher:
    """Gives calls to the workers of one pool.

    Attributes:
        workers: those that take calls; the pool adds and removes them.
        quarantine: the requests that have ended workers.
        ids: names what is asked.
        on_sent: is told of each call that a worker gets.
        on_quarantined: is told of each call that has ended two workers.
    """

    on_sent: Callable[[Call], None]
    on_quarantined: Callable[[Call], None]
    workers: list[WorkerProcess] = attrs.field(factory=list, init=False)
    quarantine: Quarantine = attrs.field(factory=Quarantine, init=False)
    ids: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1), init=False)
    _waiting: Waiting = attrs.field(factory=Waiting, init=False)
    #: Calls that were in a worker when it was lost. Each is asked again alone, so that the one
    #: that is to blame is found and no other is blamed with it.
    _suspects: deque[Call] = attrs.field(factory=deque, init=False)
    _isolated: tuple[Call, WorkerProcess] | None = attrs.field(default=None, init=False)
    #: Workers that have given no sign of life since another was lost: they may have been killed
    #: together with it, which would be held against the next call in them.
    _unproven: set[WorkerProcess] = attrs.field(factory=set, init=False)

    def can_serve(self, generation: int) -> bool:
        """Is there a worker that has this load of a model?"""
        return is_loaded(self.workers, generation)

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
            self._expire_later(call)
            self._isolate()
            return
        worker = None if call.generation in self._waiting else self._free_worker(call)
        if worker is None:
            self._waiting.add(call)
            self._expire_later(call)
        else:
            self._send(call, worker)

    def give_up(self, call: Call, *, expired: bool) -> None:
        """Nobody waits for a call any more; a worker that is at it is told.

        Args:
            call: whose ``ended`` is cancelled.
            expired: has its time run out, as opposed to a client that left?
        """
        if call.worker is not None and call.running:
            call.worker.send(Kind.CANCEL, call.id, {"expired": expired})
        else:
            self._withdraw(call)

    def finish(self, worker: WorkerProcess, frame: Frame) -> None:
        """Takes the end of a call from a worker."""
        call = worker.calls.pop(frame.call, None)
        if call is None:
            return
        worker.room.give_back(call)
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
        self._unproven.discard(worker)
        if self._isolated is not None and self._isolated[1] is worker:
            self.pump()

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
        self._unproven = set(self.workers)
        calls, worker.calls = list(worker.calls.values()), {}
        for call in calls:
            # Where code held up the event loop, whatever was too late may be what held it up.
            suspect = worker.culprit in (None, call) or call.ended.done()
            call.alone = (call.alone and not worker.tasks) or worker.culprit is call
            self._lose_call(call, reason, suspect=suspect)
        self.refuse_unservable()
        self.pump()

    def refuse_unservable(self) -> None:
        """Fails the waiting calls for models that no worker has any more."""
        for call in [*self._waiting.all(), *self._suspects]:
            if not self.can_serve(call.generation):
                self._withdraw(call)
                call.fail(_unavailable())

    def pump(self) -> None:
        """Gives waiting calls to the workers that can take them; between two suspects too, so that
        many of these hold up nobody for long.
        """
        if self._isolated is not None:
            call, _ = self._isolated
            if call.running and _is_settled(call):
                call.alone = False  # from here on it has company
                self._isolated = None
        self._waiting.hand_out(self._give)
        self._isolate()

    def _give(self, call: Call) -> bool:
        worker = None if call.ended.done() else self._free_worker(call)
        if worker is not None:
            self._try_send(call, worker)
        return worker is not None or call.ended.done()

    def _isolate(self) -> None:
        """Asks the next suspect, in a worker that gets nothing else meanwhile. What the worker has
        is waited for, but not longer than a while.
        """
        while (isolated := self._isolated or self._next_isolated()) is not None:
            self._isolated = isolated
            call, worker = isolated
            others = [*worker.calls.values(), *worker.tasks.values()]
            if call.running or worker in self._unproven or not all(map(_is_settled, others)):
                return
            call.alone = not others
            self._try_send(call, worker)  # or, where that is not possible, the next one

    def _next_isolated(self) -> tuple[Call, WorkerProcess] | None:
        while self._suspects:
            call = self._suspects.popleft()
            able = [each for each in self.workers if call.generation in each.loaded]
            if self._is_guilty(call):  # by another one that is the same
                call.fail(_quarantined())
            elif not able:
                call.fail(_unavailable())
            elif not call.ended.done():
                return call, min(able, key=lambda each: (len(each.tasks), len(each.calls)))
        return None

    def _free_worker(self, call: Call) -> WorkerProcess | None:
        reserved = self._isolated[1] if self._isolated is not None else None
        return find_room(self.workers, call, reserved)

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
        call.sent_at = time.monotonic()
        worker.calls[call.id] = call
        worker.room.take(call)
        self.on_sent(call)

    def _lose_call(self, call: Call, reason: str, *, suspect: bool) -> None:
        if suspect and call.request is not None and not call.merged:
            is_proven = call.suspect and call.alone
            verdict = Verdict.GUILTY if is_proven else Verdict.SUSPECT
            self.quarantine.note(call.generation, call.request, verdict)
            if verdict is Verdict.GUILTY:
                self.on_quarantined(call)
        call.suspect = call.suspect or suspect
        text = f"the worker that was to answer the request has ended ({reason}); try again"
        if call.ended.done():
            return
        if self._is_guilty(call):
            call.fail(_quarantined())
        elif call.merged:
            call.fail(WorkerLost(text))
        elif not self._may_ask_again(call):
            call.fail(Unavailable(text))
        elif call.suspect:
            self._suspects.append(call)
        else:
            self._waiting.add(call, first=True)

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
        if self._withdraw(call):
            call.fail(DeadlineExceeded("no worker was free within queue_timeout"))

    def _withdraw(self, call: Call) -> bool:
        """Takes a call out of those that wait; False where it is not among them."""
        if self._waiting.remove(call):
            return True
        if call in self._suspects:
            self._suspects.remove(call)
            return True
        if self._isolated is None or self._isolated[0] is not call or call.running:
            return False
        self._isolated = None
        self.pump()
        return True


def _is_settled(call: Call) -> bool:
    """Has the worker that is at it been so for so long that it is not to be waited for?"""
    return time.monotonic() - call.sent_at > _SETTLED


def _unavailable() -> Unavailable:
    return Unavailable("no worker can serve the model right now")


def _quarantined() -> Quarantined:
    return Quarantined(
        "the request has ended two workers and is refused for ten minutes, or until the model is "
        "loaded anew; the server's log names it"
    )
