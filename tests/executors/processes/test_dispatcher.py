from __future__ import annotations

import asyncio
import time

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mlserver_core.errors import (
    DeadlineExceeded,
    InvalidRequest,
    Quarantined,
    RuntimeFailed,
    Unavailable,
    WorkerLost,
)
from mlserver_core.executors.processes import dispatcher as module
from mlserver_core.executors.processes.calls import Call
from mlserver_core.executors.processes.dispatcher import Dispatcher
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.executors.processes.quarantine import Verdict
from mlserver_core.executors.processes.room import MOST_BYTES, MOST_CALLS, Room
from mlserver_core.types import InferenceRequest
from mlserver_core.types.context import BatchedRequest, RequestContext


@attrs.define(eq=False)
class Worker:
    """What the dispatcher sees of a process; the process itself is the business of others."""

    calls: dict = attrs.field(factory=dict)
    tasks: dict = attrs.field(factory=dict)
    room: Room = attrs.field(factory=Room)
    loaded: dict = attrs.field(factory=lambda: {1: True})
    culprit: Call | None = None
    beats: int = 0
    sent: list = attrs.field(factory=list)

    def send(self, kind, call, body=None):
        if body == "unsendable":
            raise RuntimeFailed("cannot be sent")
        self.sent.append((kind, call))

    def asked(self, call):
        return call in self.calls.values()


def make_call(value=0.0, *, batch=(), **options):
    tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": np.array([value])}
    request = InferenceRequest(id="r", inputs=[tensor])
    context = RequestContext(request_id="r", batch=batch, start_by=options.pop("start_by", None))
    values = {"kind": Kind.PREDICT, "generation": 1, "body": {}, "request": request, **options}
    return Call(context=context, **values)


def make_dispatcher(*workers, quarantined=None):
    noted = [] if quarantined is None else quarantined
    made = Dispatcher(lambda call: None, noted.append)
    made.workers.extend(workers)
    return made


def finish(dispatcher, call, value="answer"):
    kind = Kind.ERROR if isinstance(value, Exception) else Kind.RESULT
    dispatcher.finish(call.worker, Frame(kind, call.id, value))


def lose(dispatcher, worker, culprit=None):
    dispatcher.workers.remove(worker)
    worker.culprit = culprit
    dispatcher.lose(worker, "killed by SIGKILL")
    beat(dispatcher)


def beat(dispatcher):
    for worker in dispatcher.workers:
        worker.beats += 1
        dispatcher.note_beat(worker)


async def test_a_call_goes_to_the_worker_with_the_fewest_calls():
    first, second = Worker(), Worker()
    dispatcher = make_dispatcher(first, second)
    calls = [make_call(float(number)) for number in range(4)]
    for call in calls:
        dispatcher.place(call)
    assert [len(first.calls), len(second.calls)] == [2, 2]
    finish(dispatcher, calls[0])
    another = make_call(9.0)
    dispatcher.place(another)
    assert first.asked(another)
    assert await calls[0].ended == "answer"


async def test_what_a_worker_has_no_room_for_waits_and_goes_to_whichever_is_free_first():
    first, second = Worker(), Worker()
    dispatcher = make_dispatcher(first, second)
    calls = [make_call() for _ in range(2 * MOST_CALLS)]
    waiting = [make_call(), make_call()]
    for call in calls + waiting:
        dispatcher.place(call)
    assert not any(call.worker for call in waiting)
    finish(dispatcher, next(iter(second.calls.values())))
    assert second.asked(waiting[0])
    finish(dispatcher, next(iter(first.calls.values())))
    assert first.asked(waiting[1])


async def test_a_worker_gets_no_more_bytes_than_it_has_room_for_but_one_request_of_any_size():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    huge, other = make_call(size=2 * MOST_BYTES), make_call(size=1)
    dispatcher.place(huge)
    dispatcher.place(other)
    assert worker.asked(huge)
    assert not worker.asked(other)
    finish(dispatcher, huge)
    assert worker.asked(other)
    finish(dispatcher, other)
    assert not worker.room


async def test_the_room_of_an_answered_call_is_free_while_others_are_under_way():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    answered, other, waiting = (make_call(size=MOST_BYTES // 2) for _ in range(3))
    for call in (answered, other, waiting):
        dispatcher.place(call)
    assert not worker.asked(waiting)
    finish(dispatcher, answered)
    assert worker.asked(waiting)


async def test_without_a_worker_that_has_the_model_a_call_is_refused_at_once():
    worker = Worker(loaded={2: True})
    dispatcher = make_dispatcher(worker)
    with pytest.raises(Unavailable):
        dispatcher.place(make_call())


async def test_what_cannot_be_sent_fails_alone():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    with pytest.raises(InvalidRequest):
        dispatcher.place(make_call(body="unsendable"))
    call = make_call()
    dispatcher.place(call)
    assert list(worker.calls.values()) == [call]


async def test_a_suspect_that_cannot_be_sent_holds_up_no_other():
    first, second = Worker(), Worker()
    dispatcher = make_dispatcher(first)
    calls = [make_call(1.0), make_call(2.0)]
    for call in calls:
        dispatcher.place(call)
    calls[0].body = "unsendable"  # there is no memory for it any more
    dispatcher.workers.append(second)
    lose(dispatcher, first)
    with pytest.raises(InvalidRequest):
        await calls[0].ended
    assert second.asked(calls[1])


async def test_an_error_of_the_worker_is_the_error_of_the_call():
    dispatcher = make_dispatcher(Worker())
    call = make_call()
    dispatcher.place(call)
    finish(dispatcher, call, InvalidRequest("no"))
    with pytest.raises(InvalidRequest, match="no"):
        await call.ended


async def test_an_answer_to_a_call_that_is_not_known_is_nobodys():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    dispatcher.finish(worker, Frame(Kind.RESULT, 77, "late"))
    assert worker.calls == {}


async def test_a_call_that_nobody_waits_for_keeps_its_place_until_the_worker_is_done_with_it():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    call = make_call()
    dispatcher.place(call)
    call.ended.cancel()
    dispatcher.give_up(call, expired=False)
    assert worker.sent[-1] == (Kind.CANCEL, call.id)
    assert worker.asked(call)
    finish(dispatcher, call)
    assert not worker.calls


async def test_a_waiting_call_that_nobody_waits_for_is_forgotten():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    calls = [make_call() for _ in range(MOST_CALLS)]
    waiting, next_one = make_call(), make_call()
    for call in [*calls, waiting, next_one]:
        dispatcher.place(call)
    waiting.ended.cancel()
    dispatcher.give_up(waiting, expired=False)
    finish(dispatcher, calls[0])
    assert worker.asked(next_one)
    assert not worker.asked(waiting)


async def test_a_call_that_waits_beyond_start_by_is_refused():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    for _ in range(MOST_CALLS):
        dispatcher.place(make_call())
    late = make_call(start_by=time.monotonic() + 0.01)
    dispatcher.place(late)
    with pytest.raises(DeadlineExceeded, match="queue_timeout"):
        await late.ended


async def test_the_calls_of_a_lost_worker_are_asked_again_one_at_a_time_in_another():
    first, second = Worker(), Worker()
    dispatcher = make_dispatcher(first)
    calls = [make_call(float(number)) for number in range(3)]
    for call in calls:
        dispatcher.place(call)
    dispatcher.workers.append(second)
    lose(dispatcher, first)
    for call in calls:
        beat(dispatcher)
        assert list(second.calls.values()) == [call]
        finish(dispatcher, call)
        assert await call.ended == "answer"


async def test_a_call_that_ends_two_workers_is_refused_and_those_beside_it_are_answered():
    first, second, third = Worker(), Worker(), Worker()
    quarantined = []
    dispatcher = make_dispatcher(first, quarantined=quarantined)
    bystander, poison = make_call(1.0), make_call(6.6)
    dispatcher.place(poison)
    dispatcher.place(bystander)
    dispatcher.workers.extend([second, third])
    lose(dispatcher, first)
    assert second.asked(poison)
    beside = make_call(2.0)
    dispatcher.place(beside)
    assert third.asked(beside)  # the second is the suspect's alone
    lose(dispatcher, second)
    with pytest.raises(Quarantined):
        await poison.ended
    assert quarantined == [poison]
    finish(dispatcher, beside)
    beat(dispatcher)
    finish(dispatcher, bystander)
    assert await bystander.ended == "answer"
    with pytest.raises(Quarantined):
        dispatcher.place(make_call(6.6))
    dispatcher.place(make_call(1.0))
    assert len(third.calls) == 1


async def test_without_another_worker_the_calls_of_a_lost_one_may_be_tried_again_later():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    call = make_call()
    dispatcher.place(call)
    lose(dispatcher, worker)
    with pytest.raises(Unavailable, match="SIGKILL"):
        await call.ended


async def test_a_request_that_comes_again_after_it_ended_a_worker_is_asked_alone_and_then_refused():
    dispatcher = make_dispatcher()
    for _ in range(2):
        worker = Worker()
        dispatcher.workers.append(worker)
        poison, other = make_call(6.6), make_call(1.0)
        dispatcher.place(poison)
        beat(dispatcher)
        dispatcher.place(other)
        lose(dispatcher, worker)
        outcomes = await asyncio.gather(poison.ended, other.ended, return_exceptions=True)
    assert isinstance(outcomes[0], Quarantined)
    assert isinstance(outcomes[1], Unavailable)  # it waited, and was in no worker
    dispatcher.workers.append(Worker())
    with pytest.raises(Quarantined):
        dispatcher.place(make_call(6.6))


def loading():
    return Call(kind=Kind.LOAD, generation=2, body={}, id=99, sent_at=time.monotonic())


async def test_a_suspect_waits_for_the_end_of_a_load_in_its_worker_and_prefers_one_that_loads_not():
    first, second, third = Worker(), Worker(tasks={99: loading()}), Worker()
    dispatcher = make_dispatcher(first)
    call = make_call(1.0)
    dispatcher.place(call)
    dispatcher.workers.append(second)
    lose(dispatcher, first)
    assert not second.calls
    second.tasks.clear()
    dispatcher.pump()
    assert second.asked(call)
    finish(dispatcher, call)

    other = make_call(2.0)
    dispatcher.place(other)
    second.tasks[99] = loading()
    dispatcher.workers.extend([Worker(tasks={99: loading()}), third])
    lose(dispatcher, second)
    assert third.asked(other)


async def test_a_load_that_begins_beside_a_suspect_may_be_to_blame_instead():
    quarantined = []
    dispatcher = make_dispatcher(quarantined=quarantined)
    for tasks in ({}, {99: loading()}):
        worker = Worker()
        dispatcher.workers.append(worker)
        call = make_call(6.6)
        dispatcher.place(call)
        beat(dispatcher)
        assert worker.asked(call)
        worker.tasks = tasks
        lose(dispatcher, worker)
        with pytest.raises(Unavailable):
            await call.ended
    assert quarantined == []


async def test_what_succeeds_alone_is_suspected_no_more():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    call = make_call(1.0)
    dispatcher.place(call)
    lose(dispatcher, worker)
    call.ended.exception()
    dispatcher.workers.append(Worker())
    again = make_call(1.0)
    dispatcher.place(again)
    beat(dispatcher)
    finish(dispatcher, again)
    assert not dispatcher.quarantine


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"idempotent": False}, Unavailable),
        ({"frames": asyncio.Queue}, Unavailable),
        ({"batch": [BatchedRequest(id=i, headers={}, rows=(0, 1)) for i in "ab"]}, WorkerLost),
    ],
)
async def test_a_call_that_may_not_be_asked_again_fails_with_its_worker(options, error):
    first, second = Worker(), Worker()
    dispatcher = make_dispatcher(first)
    options = {name: value() if callable(value) else value for name, value in options.items()}
    call = make_call(**options)
    dispatcher.place(call)
    dispatcher.workers.append(second)
    lose(dispatcher, first)
    with pytest.raises(error):
        await call.ended
    assert not second.calls


async def test_where_the_culprit_is_known_the_others_are_asked_again_as_if_nothing_had_been():
    first, second = Worker(), Worker()
    dispatcher = make_dispatcher(first)
    stuck, one, two = make_call(6.6), make_call(1.0), make_call(2.0)
    for call in (stuck, one, two):
        dispatcher.place(call)
    stuck.ended.cancel()
    dispatcher.workers.append(second)
    lose(dispatcher, first, culprit=stuck)
    assert second.asked(one)
    assert second.asked(two)
    assert dispatcher.quarantine.verdict(1, stuck.request) is Verdict.SUSPECT
    assert dispatcher.quarantine.verdict(1, one.request) is Verdict.CLEAR


async def test_waiting_calls_are_refused_when_the_last_worker_is_lost():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    for _ in range(MOST_CALLS):
        dispatcher.place(make_call())
    waiting = make_call()
    dispatcher.place(waiting)
    lose(dispatcher, worker)
    with pytest.raises(Unavailable):
        await waiting.ended


async def test_a_worker_whose_model_is_not_ready_is_asked_only_where_no_other_is_there():
    unready, ready = Worker(loaded={1: False}), Worker()
    dispatcher = make_dispatcher(unready, ready)
    calls = [make_call(), make_call()]
    for call in calls:
        dispatcher.place(call)
    assert all(ready.asked(call) for call in calls)
    lose(dispatcher, ready)
    assert all(call.ended.done() or unready.asked(call) for call in calls) or unready.calls


async def test_a_worker_that_has_not_shown_that_it_lives_gets_no_suspect():
    first, second = Worker(), Worker()
    dispatcher = make_dispatcher(first)
    call = make_call()
    dispatcher.place(call)
    dispatcher.workers.append(second)
    dispatcher.workers.remove(first)
    dispatcher.lose(first, "killed by SIGKILL")
    assert not second.calls  # it may have been killed as well
    beat(dispatcher)
    assert second.asked(call)


async def test_a_model_that_is_slow_or_hangs_holds_up_no_other():
    worker = Worker(loaded={1: True, 2: True})
    dispatcher = make_dispatcher(worker)
    slow = [make_call(size=MOST_BYTES // MOST_CALLS) for _ in range(MOST_CALLS + 1)]
    for call in slow:
        dispatcher.place(call)
    assert not slow[-1].running
    other = make_call(generation=2, size=1)
    dispatcher.place(other)
    assert worker.asked(other)


async def test_streams_however_many_keep_no_call_from_a_worker():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    for _ in range(2 * MOST_CALLS):
        stream = make_call(kind=Kind.STREAM, request=None, frames=asyncio.Queue())
        dispatcher.place(stream)
        assert stream.running
    call = make_call()
    dispatcher.place(call)
    assert worker.asked(call)
    finish(dispatcher, call)
    assert not worker.room


@pytest.fixture
async def beside_a_stream():
    """A suspect, in a pool whose only worker has a stream that may never end."""
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    stream = make_call(kind=Kind.STREAM, request=None, frames=asyncio.Queue())
    dispatcher.place(stream)
    suspect, other = make_call(1.0, suspect=True), make_call(2.0)
    dispatcher.place(suspect)
    dispatcher.place(other)
    assert not suspect.running
    assert not other.running
    return dispatcher, worker, suspect, other


async def test_a_suspect_waits_for_a_stream_a_while_and_not_for_ever(beside_a_stream, monkeypatch):
    dispatcher, worker, suspect, other = beside_a_stream
    beat(dispatcher)
    assert not suspect.running
    monkeypatch.setattr(module, "_SETTLED", -1.0)
    beat(dispatcher)
    assert worker.asked(suspect)
    beat(dispatcher)  # and others do not wait for one that goes on and on
    assert worker.asked(other)


async def test_a_suspect_that_had_company_is_not_blamed(beside_a_stream, monkeypatch):
    dispatcher, worker, suspect, other = beside_a_stream
    monkeypatch.setattr(module, "_SETTLED", -1.0)
    beat(dispatcher)
    monkeypatch.undo()
    another = Worker()
    dispatcher.workers.append(another)
    lose(dispatcher, worker)
    assert dispatcher.quarantine.verdict(1, suspect.request) is Verdict.SUSPECT
    finish(dispatcher, other)
    assert list(another.calls.values()) == [suspect]  # this time it is alone
    lose(dispatcher, another)
    with pytest.raises(Quarantined):
        await suspect.ended


async def test_a_call_that_its_worker_was_ended_for_is_blamed_whatever_stood_beside_it():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    suspect = make_call(1.0, suspect=True)
    dispatcher.place(suspect)
    suspect.alone = False
    lose(dispatcher, worker, culprit=suspect)
    with pytest.raises(Quarantined):
        await suspect.ended


async def test_others_get_their_turn_between_two_suspects():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    first, second = make_call(1.0, suspect=True), make_call(2.0, suspect=True)
    other = make_call(3.0)
    for call in (first, second, other):
        dispatcher.place(call)
    assert list(worker.calls.values()) == [first]
    finish(dispatcher, first)
    assert list(worker.calls.values()) == [other]
    finish(dispatcher, other)
    assert list(worker.calls.values()) == [second]


async def test_a_suspect_waits_no_longer_than_start_by():
    worker = Worker()
    dispatcher = make_dispatcher(worker)
    dispatcher.place(make_call())
    reserving, queued = (
        make_call(value, suspect=True, start_by=time.monotonic() + 0.01) for value in (1.0, 2.0)
    )
    dispatcher.place(reserving)
    dispatcher.place(queued)
    for call in (reserving, queued):
        with pytest.raises(DeadlineExceeded):
            await call.ended
    call = make_call(3.0)
    dispatcher.place(call)
    assert worker.asked(call)  # nothing is reserved any more


class Calls(RuleBasedStateMachine):
    """Whatever happens to callers and workers, every call ends once and nothing is left."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.workers = []
        self.calls = []
        self.answers = {}
        self.loop.run_until_complete(self._make())

    async def _make(self):
        self.dispatcher = make_dispatcher()

    def run(self, function, *arguments):
        async def inside():
            return function(*arguments)

        return self.loop.run_until_complete(inside())

    @rule()
    @precondition(lambda self: len(self.workers) < 3)
    def start_a_worker(self):
        self.workers.append(Worker())
        self.dispatcher.workers.append(self.workers[-1])
        self.run(self.dispatcher.pump)
        self.run(beat, self.dispatcher)

    @rule(value=st.integers(0, 5), idempotent=st.booleans())
    def ask(self, value, idempotent):
        def place():
            call = make_call(float(value), idempotent=idempotent)
            try:
                self.dispatcher.place(call)
            except (Unavailable, Quarantined):
                return
            beat(self.dispatcher)
            self.calls.append(call)

        self.run(place)

    @rule(data=st.data())
    @precondition(lambda self: any(worker.calls for worker in self.workers))
    def answer(self, data):
        worker = data.draw(st.sampled_from([each for each in self.workers if each.calls]))
        call = data.draw(st.sampled_from(list(worker.calls.values())))
        waited = not call.ended.done()
        self.run(finish, self.dispatcher, call, call)
        self.run(beat, self.dispatcher)
        if waited:
            assert call.ended.result() is call

    @rule(data=st.data())
    @precondition(lambda self: self.workers)
    def lose_a_worker(self, data):
        worker = data.draw(st.sampled_from(self.workers))
        asked = list(worker.calls.values())
        alone = len(asked) == 1
        # What is the same as a call that was proven guilty is so too.
        verdict = self.dispatcher.quarantine.verdict
        guilty = {id(each) for each in asked if verdict(1, each.request) is Verdict.GUILTY}
        self.workers.remove(worker)
        self.run(lose, self.dispatcher, worker)
        for call in asked:
            failed = call.ended.done() and not call.ended.cancelled() and call.ended.exception()
            if isinstance(failed, Quarantined) and id(call) not in guilty:
                assert alone, "a call was blamed that was not alone"

    @rule(data=st.data())
    @precondition(lambda self: any(not call.ended.done() for call in self.calls))
    def leave(self, data):
        call = data.draw(st.sampled_from([each for each in self.calls if not each.ended.done()]))

        def give_up():
            call.ended.cancel()
            self.dispatcher.give_up(call, expired=False)
            beat(self.dispatcher)

        self.run(give_up)

    @invariant()
    def a_suspect_is_alone(self):
        for worker in self.workers:
            if any(call.suspect for call in worker.calls.values()):
                assert len(worker.calls) == 1

    @invariant()
    def a_call_is_in_one_worker_at_most(self):
        ids = [call for worker in self.workers for call in worker.calls.values()]
        assert len(ids) == len(set(map(id, ids)))

    @invariant()
    def nothing_waits_while_no_worker_is_there(self):
        if not self.workers:
            assert all(call.ended.done() for call in self.calls)

    @invariant()
    def an_idle_worker_means_that_nothing_waits(self):
        if self.workers and not any(worker.calls for worker in self.workers):
            assert all(call.ended.done() for call in self.calls)

    def teardown(self):
        while any(worker.calls for worker in self.workers):
            worker = next(each for each in self.workers if each.calls)
            self.run(finish, self.dispatcher, next(iter(worker.calls.values())))
            self.run(beat, self.dispatcher)
        assert all(call.ended.done() for call in self.calls)
        for call in self.calls:
            if not call.ended.cancelled():
                call.ended.exception()
        assert not any(worker.room for worker in self.workers)
        self.loop.close()


TestCalls = Calls.TestCase
TestCalls.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
