"""The batcher under everything that callers and a model can do, in any order."""

from __future__ import annotations

import asyncio

import attrs
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mlserver_core.engine.batching.batcher import Batcher
from mlserver_core.errors import DeadlineExceeded, RuntimeFailed, Unavailable
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters, ResponseOutput
from mlserver_core.types.context import RequestContext

SIZE, SECONDS = 6, 10.0


class SteppedLoop(asyncio.SelectorEventLoop):
    """A real event loop whose clock stands still until the test moves it."""

    now = 100.0

    def time(self):
        return self.now

    def settle(self, seconds=0.0):
        """Moves the clock, and runs all that can run then."""
        self.now += seconds
        self.go_on(40)

    def go_on(self, rounds):
        """Runs what is ready, and what comes of it, so many times."""
        for _ in range(rounds):
            self.run_until_complete(asyncio.sleep(0))


@attrs.define(eq=False)
class Asked:
    """A request of the test, each of whose values is its own number."""

    number: int
    poison: bool
    deadline: float | None
    task: asyncio.Task
    cancelled: bool = False
    begun: bool = False


@attrs.define(eq=False)
class Call:
    """A call of the model that waits for the test."""

    values: np.ndarray
    is_merged: bool
    answer: asyncio.Future


SUBMIT = st.fixed_dictionaries(
    {
        # Below 0: of a request that agrees with no other.
        "rows": st.sampled_from([1, 1, 1, 2, 2, 3, SIZE, SIZE + 1, -1]),
        "key": st.sampled_from([0, 0, 0, 1]),
        "poison": st.sampled_from([False, False, False, False, True]),
        "seconds": st.none() | st.floats(0.5, 15),
        "queue_seconds": st.none() | st.floats(0.5, 15),
    }
)
ANSWER = st.fixed_dictionaries(
    {
        "choice": st.integers(0, 99),
        "outcome": st.sampled_from(
            ["good", "good", "good", "failed", "gone", "bad rows", "cancelled"]
        ),
    }
)
#: Methods of the machine, and what they are called with.
MOVES = st.sampled_from(["submit", "submit", "submit", "leave", "answer", "answer"]).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        {
            "submit": SUBMIT,
            "leave": st.fixed_dictionaries({"choice": st.integers(0, 99)}),
            "answer": ANSWER,
        }[kind],
    )
)


class Batching(RuleBasedStateMachine):
    """What holds, whatever happens: each request is answered once, by what is its own, or gets
    an error that is its own; nobody is forgotten, and the counters come back to zero.
    """

    def __init__(self):
        super().__init__()
        self.loop = SteppedLoop()
        self.asked = []
        self.calls = []
        self.given_up = set()

    async def model(self, request, context):
        values = request.inputs[0].data.root
        assert len(values) == request.inputs[0].shape[0]
        batch = [(each.headers["number"], each.rows) for each in context.batch]
        if batch:
            assert len(values) <= SIZE
            assert request.parameters.headers == {}
            for number, (begin, end) in batch:
                assert set(values[begin:end]) == {number}
        else:
            assert set(values) == {request.parameters.headers["number"]}
        call = Call(values, bool(batch), self.loop.create_future())
        self.calls.append(call)
        for number in set(values.tolist()):
            self.asked[number].begun = True
        try:
            rows = await call.answer
        finally:
            self.calls.remove(call)
        poisoned = [each for each in self.asked if each.poison and each.number in values]
        if poisoned:
            raise RuntimeFailed(f"poison {sorted({each.number for each in poisoned})}")
        shape = [len(values)] if rows else [1]
        data = values * 10 if rows else values[:1] * 10
        output = ResponseOutput(name="y", shape=shape, datatype="INT64", data=data)
        return InferenceResponse(model_name="m", id=request.id, outputs=[output])

    @initialize(
        slots=st.sampled_from([1, 1, 2]),
        when_idle=st.sampled_from([True, True, False]),
        idempotent=st.sampled_from([True, True, False]),
    )
    def set_up(self, slots, when_idle, idempotent):
        self.batcher = Batcher(
            settings=ModelSettings(
                name="m",
                implementation="echo",
                max_batch_size=SIZE,
                max_batch_time=SECONDS,
                batch_when_idle=when_idle,
                idempotent=idempotent,
            ),
            slots=slots,
            clock=self.loop.time,
            infer=self.model,
        )

    @rule(moves=st.lists(st.tuples(MOVES, st.integers(0, 4)), min_size=4, max_size=16))
    def move(self, moves):
        """Several things in a row, with so many rounds of the loop after each."""
        for (kind, values), rounds in moves:
            getattr(self, kind)(**values)
            self.loop.go_on(rounds)

    def submit(self, rows, key, poison, seconds, queue_seconds):
        number = len(self.asked)
        tensor = {"name": f"x{key}", "shape": [abs(rows)], "datatype": "INT64"}
        tensor["data"] = np.full(abs(rows), number)
        odd = {"odd": object()} if rows < 0 else {}
        request = InferenceRequest(
            id=f"r-{number}",
            inputs=[tensor],
            parameters=Parameters(headers={"number": number}, **odd),
        )
        now = self.loop.time()
        context = RequestContext(
            headers={"number": number},
            request_id=request.id,
            deadline=None if seconds is None else now + seconds,
            start_by=None if queue_seconds is None else now + queue_seconds,
        )
        task = self.loop.create_task(self.batcher.infer(request, context))
        self.asked.append(Asked(number, poison, context.deadline, task))

    def leave(self, choice):
        waiting = [each for each in self.asked if not each.task.done()]
        if waiting:
            each = waiting[choice % len(waiting)]
            each.task.cancel()
            each.cancelled = True

    def answer(self, choice, outcome):
        calls = [call for call in self.calls if not call.answer.done()]
        if not calls:
            return
        call = calls[choice % len(calls)]
        if outcome == "failed":
            call.answer.set_exception(RuntimeFailed(f"failed {sorted(set(call.values.tolist()))}"))
        elif outcome == "gone":
            call.answer.set_exception(Unavailable("gone"))
        elif outcome == "cancelled":  # the model cancels its own work
            call.answer.cancel()
            self.given_up |= set(call.values.tolist())
            if not call.is_merged:
                self.asked[call.values[0]].cancelled = True
        else:
            call.answer.set_result(outcome == "good")

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds):
        self.loop.settle(seconds)

    @invariant()
    def nobody_waits_beside_a_free_slot(self):
        self.loop.settle()
        batcher = self.batcher
        assert batcher.running == len(self.calls)
        if batcher.settings.batch_when_idle and batcher.running < batcher.slots:
            assert batcher.waiting == 0

    @invariant()
    def nobody_waits_too_long(self):
        self.loop.settle()
        asked_now = {int(value) for call in self.calls for value in call.values}
        waiting = {
            each.number
            for each in self.asked
            if not each.task.done() and each.number not in asked_now
        }
        assert len(waiting) == self.batcher.waiting
        for each in self.asked:
            if each.number in waiting and each.deadline is not None:
                assert each.deadline > self.loop.time()

    @invariant()
    def each_outcome_is_its_own(self):
        errors = []
        for each in self.asked:
            if not each.task.done():
                continue
            if each.task.cancelled():
                assert each.cancelled
                continue
            error = each.task.exception()
            if error is None:
                (output,) = each.task.result().outputs
                assert each.task.result().id == f"r-{each.number}"
                assert set(output.data.root.tolist()) == {each.number * 10}
                assert not each.poison
                continue
            errors.append(error)
            assert isinstance(error, (RuntimeFailed, Unavailable, DeadlineExceeded))
            if "queue_timeout" in str(error):
                assert not each.begun
            if "cancelled its own" in str(error):
                assert each.number in self.given_up
            if self.batcher.settings.idempotent and "poison" in str(error):
                assert str(error) == f"poison [{each.number}]"
            if self.batcher.settings.idempotent and "failed" in str(error):
                assert str(error) == f"failed [{each.number}]"
        assert len({id(error) for error in errors}) == len(errors)

    def teardown(self):
        for _ in range(200):
            self.loop.settle(SECONDS)
            for call in list(self.calls):
                if not call.answer.done():
                    call.answer.set_result(True)
            if all(each.task.done() for each in self.asked):
                break
        self.loop.settle()
        assert all(each.task.done() for each in self.asked)
        assert (self.batcher.running, self.batcher.waiting) == (0, 0)
        assert not asyncio.all_tasks(self.loop)
        self.each_outcome_is_its_own()
        self.loop.close()


TestBatching = Batching.TestCase
TestBatching.settings = settings(
    max_examples=100,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
