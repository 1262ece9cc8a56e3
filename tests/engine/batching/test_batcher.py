from __future__ import annotations

import asyncio
import contextvars
import logging

import attrs
import numpy as np
import pytest

from mlserver_core.engine.batching.adaptive import batched
from mlserver_core.engine.batching.batcher import Batcher
from mlserver_core.errors import (
    DeadlineExceeded,
    ErrorCode,
    InternalError,
    InvalidRequest,
    MLServerError,
    ModelNotReady,
    Overloaded,
    Quarantined,
    RuntimeFailed,
    TooLarge,
    Unavailable,
)
from mlserver_core.metrics.custom import ModelMetrics
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters, ResponseOutput
from mlserver_core.types.context import RequestContext

HOUR = 3600.0


def make_request(*values, id="r", parameters=None, **changes):
    """A request with a row of one FP64 for each value; ``changes`` are of its only input."""
    tensor = {
        "name": "x",
        "shape": [len(values), 1],
        "datatype": "FP64",
        "data": np.array(values, float),
        **changes,
    }
    return InferenceRequest(id=id, parameters=parameters or Parameters(headers={}), inputs=[tensor])


def doubled(request):
    """What a good model answers: each row twice as large."""
    tensor = request.inputs[0]
    output = ResponseOutput(
        name="y", shape=tensor.shape, datatype="FP64", data=np.asarray(tensor.data.root) * 2
    )
    return InferenceResponse(model_name="m", id=request.id, outputs=[output])


def values_of(message):
    (tensor,) = message.inputs if isinstance(message, InferenceRequest) else message.outputs
    return np.asarray(tensor.data.root).reshape(-1).tolist()


@attrs.define
class Call:
    """A call of the model that waits for the test to answer it."""

    request: InferenceRequest
    context: RequestContext
    answer: asyncio.Future

    @property
    def values(self):
        return values_of(self.request)

    def succeed(self):
        self.answer.set_result(doubled(self.request))


@attrs.define
class Clock:
    """The time of deadlines; a test moves it."""

    now: float = 1000.0

    def __call__(self):
        return self.now


class Counted(ModelMetrics):
    """Keeps what a batcher counts."""

    def __init__(self):
        self.batches = []

    def observe_batch(self, *, waiting, rows):
        self.batches.append((waiting, rows))


async def settle():
    """Lets everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(happened):
    """Goes on in the moment that something has happened."""
    while not happened():  # noqa: ASYNC110  # an event would come later than the moment
        await asyncio.sleep(0)


@attrs.define
class Bench:
    """A batcher, its model whose calls wait for the test, and what it is asked."""

    batcher: Batcher
    calls: list[Call]
    clock: Clock
    tasks: list[asyncio.Task] = attrs.field(factory=list)

    def send(self, request, **context):
        known = RequestContext(headers=dict(request.parameters.headers or {}), **context)
        known.request_id = request.id
        self.tasks.append(asyncio.ensure_future(self.batcher.infer(request, known)))
        return self.tasks[-1]

    def ask(self, *values, **changes):
        return self.send(make_request(*values, **changes))

    async def occupy(self):
        """Asks something alone, whose call keeps the model busy until it is answered."""
        self.ask(-1.0, id="first")
        await settle()
        return self.calls[-1]

    async def gather(self, *rows):
        """Asks each while the model is busy, lets it fall free; returns tasks and the call."""
        busy = await self.occupy()
        asked = [self.ask(*values, id=f"r-{n}") for n, values in enumerate(rows)]
        await settle()
        busy.succeed()
        await settle()
        return asked, self.calls[-1]


@pytest.fixture
async def bench():
    """Makes a batcher that waits for an hour unless the settings say otherwise."""
    made = []

    def make(*, slots=1, model=None, metrics=None, **settings):
        values = {"max_batch_size": 8, "max_batch_time": HOUR, **settings}
        calls, clock = [], Clock()

        async def answer(request, context):
            calls.append(Call(request, context, asyncio.get_running_loop().create_future()))
            return await calls[-1].answer

        batcher = Batcher(
            settings=ModelSettings(name="m", implementation="echo", **values),
            metrics=metrics or ModelMetrics(),
            slots=slots,
            clock=clock,
            infer=model or answer,
        )
        made.append(Bench(batcher, calls, clock))
        return made[-1]

    yield make
    for each in made:
        for task in each.tasks:
            task.cancel()
    await settle()
    for each in made:
        assert (each.batcher.running, each.batcher.waiting) == (0, 0)


async def test_a_lone_request_is_asked_at_once_and_as_it_came(bench):
    bench = bench()
    request = make_request(1.0, parameters=Parameters(headers={"a": "b"}))
    task = bench.send(request)
    await settle()
    (call,) = bench.calls
    assert call.request is request
    assert call.request.parameters.headers == {"a": "b"}
    assert call.context.batch == ()
    call.succeed()
    assert values_of(await task) == [2.0]


async def test_what_comes_while_the_model_is_busy_is_asked_together_when_it_falls_free(bench):
    bench = bench()
    asked, call = await bench.gather((1, 2), (3,), (4, 5))
    assert call.values == [1, 2, 3, 4, 5]
    assert call.request.inputs[0].shape == [5, 1]
    call.succeed()
    assert [values_of(await each) for each in asked] == [[2, 4], [6], [8, 10]]
    assert [(await each).id for each in asked] == ["r-0", "r-1", "r-2"]


async def test_a_model_that_works_on_several_calls_is_busy_when_all_are_taken(bench):
    bench = bench(slots=2)
    for value in (1, 2, 3, 4):
        bench.ask(value)
    await settle()
    assert [call.values for call in bench.calls] == [[1], [2]]
    bench.calls[1].succeed()
    await settle()
    assert bench.calls[-1].values == [3, 4]


def blocking(calls):
    """A model that answers without letting the event loop turn, and notes what it was asked."""

    async def answer(request, context):
        calls.append(values_of(request))
        return doubled(request)

    return answer


async def test_what_comes_while_the_model_blocks_the_event_loop_is_asked_together(bench):
    calls = []
    bench = bench(model=blocking(calls))
    await bench.ask(0)
    asked = [bench.ask(value) for value in range(1, 5)]
    assert [values_of(await each) for each in asked] == [[2], [4], [6], [8]]
    assert [sorted(values) for values in calls] == [[0], [1, 2, 3, 4]]


async def test_a_lone_request_after_one_that_blocked_the_event_loop_is_asked_as_it_came(bench):
    calls = []
    bench = bench(model=blocking(calls))
    assert [values_of(await bench.ask(value)) for value in (1, 2)] == [[2], [4]]
    assert calls == [[1], [2]]


@pytest.mark.parametrize("leaving", [0, 1])
async def test_who_leaves_before_others_have_come_holds_up_nobody(bench, leaving):
    calls = []
    bench = bench(model=blocking(calls))
    await bench.ask(0)
    asked = [bench.ask(value) for value in range(1, 5)]
    await asyncio.sleep(0)  # the first waits for others, who have just come
    asked.pop(leaving).cancel()
    await asyncio.gather(*asked)
    asked_of_it = sorted(value for values in calls for value in values)
    assert asked_of_it == [value for value in range(5) if value != leaving + 1]


async def test_a_call_that_lets_the_event_loop_turn_makes_nobody_wait_for_others(bench):
    bench = bench()
    (await bench.occupy()).succeed()
    await settle()
    for value in (1, 2, 3):
        bench.ask(value)
    await settle()
    assert bench.calls[-1].values == [1]


async def test_max_batch_size_counts_rows_and_is_never_passed_r5(bench):
    bench = bench(max_batch_size=8)
    await bench.occupy()
    for first in range(0, 24, 3):
        bench.ask(*range(first, first + 3))
    await settle()
    assert [len(call.values) for call in bench.calls[1:]] == [6, 6, 6]
    assert bench.batcher.waiting == 2


async def test_a_full_batch_is_asked_while_the_model_is_busy(bench):
    bench = bench(max_batch_size=4)
    await bench.occupy()
    asked = [bench.ask(1, 2), bench.ask(3, 4)]
    await settle()
    assert bench.calls[-1].values == [1, 2, 3, 4]
    bench.calls[-1].succeed()
    assert [values_of(await each) for each in asked] == [[2, 4], [6, 8]]


@pytest.mark.parametrize("rows", [8, 9, 100])
async def test_a_request_as_large_as_a_batch_is_asked_alone_whole_and_at_once_r5(bench, rows):
    bench = bench(max_batch_size=8)
    await bench.occupy()
    bench.ask(1)
    large = bench.ask(*range(rows))
    await settle()
    assert bench.calls[-1].values == list(range(rows))
    assert bench.calls[-1].context.batch == ()
    bench.calls[-1].succeed()
    assert values_of(await large) == [2 * each for each in range(rows)]
    assert bench.batcher.waiting == 1


async def test_max_batch_time_after_the_first_all_that_wait_are_asked_w30(bench):
    bench = bench(max_batch_time=0.01)
    await bench.occupy()
    asked = [bench.ask(1), bench.ask(2)]
    await until(lambda: len(bench.calls) == 2)
    assert bench.calls[1].values == [1, 2]
    bench.calls[1].succeed()
    assert [values_of(await each) for each in asked] == [[2], [4]]


async def test_with_batch_when_idle_false_a_lone_request_waits_for_others_or_max_batch_time(bench):
    waits = bench(batch_when_idle=False)
    waits.ask(1)
    waits.ask(2)
    await settle()
    assert (waits.calls, waits.batcher.waiting) == ([], 2)
    short = bench(batch_when_idle=False, max_batch_time=0.01)
    task = short.ask(1)
    await until(lambda: short.calls)
    short.ask(2)
    short.calls[0].succeed()
    await task
    assert short.batcher.waiting == 1  # a call that ends lets nobody go before its time


async def test_requests_that_do_not_agree_are_asked_apart_w2_w3_w4(bench):
    bench = bench()
    busy = await bench.occupy()
    bench.ask(1.5)
    bench.ask(1.0, datatype="FP32")
    bench.ask(1.0, name="z")
    bench.ask(1.0, parameters=Parameters(content_type="pd", headers={}))
    bench.ask(2.5)
    await settle()
    busy.succeed()
    while len(bench.calls) < 5:
        await settle()
        bench.calls[-1].succeed()
    asked = [
        (call.request.inputs[0].name, call.request.inputs[0].datatype, len(call.values))
        for call in bench.calls[1:]
    ]
    assert asked == [("x", "FP64", 2), ("x", "FP32", 1), ("z", "FP64", 1), ("x", "FP64", 1)]


async def test_a_request_without_inputs_is_answered_w18(bench):
    bench = bench()
    await bench.occupy()
    empty = bench.send(InferenceRequest(id="r", inputs=[], parameters=Parameters()))
    await settle()
    bench.calls[-1].answer.set_result(InferenceResponse(outputs=[]))
    assert (await empty).outputs == []


async def test_what_cannot_be_merged_fails_and_waits_for_nobody_w19(bench):
    bench = bench()
    await bench.occupy()
    good = [bench.ask(1), bench.ask(2)]
    bad = bench.ask(3, shape=[2, 1])
    await settle()
    bench.calls[-1].answer.set_exception(InvalidRequest("shape"))
    with pytest.raises(InvalidRequest):
        await bad
    bench.calls[0].succeed()
    await settle()
    bench.calls[-1].succeed()
    assert [values_of(await each) for each in good] == [[2], [4]]


async def test_each_has_its_own_headers_and_rows_and_the_merged_request_none_r3(bench):
    bench = bench()
    busy = await bench.occupy()
    for name, values in (("alice", (1, 2)), ("bob", (3,))):
        headers = {"authorization": name}
        bench.ask(*values, id=name, parameters=Parameters(headers=headers))
    await settle()
    busy.succeed()
    await settle()
    call = bench.calls[-1]
    assert call.request.parameters.headers == {}
    assert call.context.headers == {}
    told = [(each.id, each.headers["authorization"], each.rows) for each in call.context.batch]
    assert told == [("alice", "alice", (0, 2)), ("bob", "bob", (2, 3))]
    assert call.context.request_id == call.request.id
    assert call.request.id not in ("alice", "bob")


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        (((5, 3), (7, 4)), (7, 4)),
        (((5, 3), (None, None)), (None, None)),
        (((5, None), (7, 3)), (7, None)),
    ],
)
async def test_a_batch_is_of_use_as_long_as_it_is_for_one_of_its_requests(bench, given, merged):
    bench = bench()
    now = bench.clock.now
    busy = await bench.occupy()
    for deadline, start_by in given:
        bench.send(
            make_request(1),
            transport="grpc",
            deadline=deadline and now + deadline,
            start_by=start_by and now + start_by,
        )
    await settle()
    busy.succeed()
    await settle()
    context = bench.calls[-1].context
    expected = tuple(seconds and now + seconds for seconds in merged)
    assert (context.deadline, context.start_by) == expected
    assert context.transport == "grpc"


async def test_a_merged_call_runs_in_the_context_of_none_of_its_callers(bench):
    caller = contextvars.ContextVar("caller", default="nobody")
    seen = []

    async def model(request, context):
        seen.append((caller.get(), len(values_of(request))))
        await asyncio.sleep(0)
        return doubled(request)

    bench = bench(model=model)

    async def asking(name):
        caller.set(name)
        return await bench.batcher.infer(make_request(1), RequestContext())

    await asyncio.gather(*map(asking, ("alice", "bob", "carol")))
    assert seen == [("alice", 1), ("nobody", 2)]


async def test_who_leaves_the_queue_takes_nothing_with_him_r1(bench):
    bench = bench()
    busy = await bench.occupy()
    asked = [bench.ask(value) for value in (1, 2, 3, 4)]
    await settle()
    asked[0].cancel()
    asked[2].cancel()
    await settle()
    assert bench.batcher.waiting == 2
    busy.succeed()
    await settle()
    assert bench.calls[-1].values == [2, 4]
    bench.calls[-1].succeed()
    assert [values_of(await asked[n]) for n in (1, 3)] == [[4], [8]]


async def test_who_leaves_the_queue_leaves_room_for_others(bench):
    bench = bench(max_batch_size=4)
    await bench.occupy()
    bench.ask(1)
    leaving = bench.ask(2, 3)
    await settle()
    leaving.cancel()
    await settle()
    bench.ask(4, 5)
    await settle()
    assert (len(bench.calls), bench.batcher.waiting) == (1, 2)


async def test_the_time_in_the_queue_ends_when_the_model_begins(bench):
    bench = bench(max_batch_size=2)
    await bench.occupy()
    limit = {"start_by": bench.clock.now + 0.01}
    asked = [bench.send(make_request(value), **limit) for value in (1, 2)]
    await settle()
    passed = asyncio.get_running_loop().time() + 0.02
    await until(lambda: asyncio.get_running_loop().time() > passed)
    bench.calls[-1].succeed()
    assert [values_of(await each) for each in asked] == [[2], [4]]


async def test_the_time_of_a_batch_that_was_asked_is_not_that_of_the_next(bench):
    bench = bench(max_batch_size=2, max_batch_time=0.01)
    await bench.occupy()
    bench.ask(1)
    bench.ask(2)
    await settle()
    assert bench.calls[-1].values == [1, 2]
    passed = asyncio.get_running_loop().time() + 0.02
    bench.batcher.settings.max_batch_time = HOUR
    bench.ask(3)
    await until(lambda: asyncio.get_running_loop().time() > passed)
    assert (len(bench.calls), bench.batcher.waiting) == (2, 1)


async def test_when_all_have_left_the_queue_nothing_is_asked(bench):
    bench = bench()
    busy = await bench.occupy()
    asked = [bench.ask(1), bench.ask(2)]
    await settle()
    for each in asked:
        each.cancel()
    busy.succeed()
    await settle()
    assert len(bench.calls) == 1


async def test_who_leaves_a_batch_that_is_being_asked_leaves_the_others_theirs_r1_w17(bench):
    bench = bench()
    asked, call = await bench.gather((1,), (2,), (3,), (4,))
    asked[1].cancel()
    await settle()
    assert asked[1].cancelled()
    assert not call.answer.cancelled()
    call.succeed()
    assert [values_of(await asked[n]) for n in (0, 2, 3)] == [[2], [6], [8]]


async def test_a_batch_that_nobody_waits_for_is_cancelled_and_seen_to_its_end(bench):
    ended = []

    async def model(request, context):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0.001)  # what a model still does when it is cancelled
            ended.append(len(values_of(request)))

    bench = bench(model=model, batch_when_idle=False, max_batch_size=2)
    asked = [bench.ask(1), bench.ask(2)]
    await settle()
    asked[0].cancel()
    await settle()
    assert ended == []
    asked[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked[1]
    assert ended == [2]


async def test_who_leaves_in_the_moment_of_his_turn_gives_it_back(bench):
    bench = bench()
    busy = await bench.occupy()
    only = bench.ask(1)
    await settle()
    busy.succeed()
    await until(lambda: bench.batcher.waiting == 0)
    only.cancel()
    await settle()
    assert bench.batcher.running == 0
    assert len(bench.calls) == 1


async def test_who_leaves_in_the_moment_of_his_answer_or_error_harms_nobody(bench):
    for failing in (False, True):
        each = bench()
        asked, call = await each.gather((1,), (2,))
        if failing:
            call.answer.set_exception(Unavailable("gone"))
        else:
            call.succeed()
        await asyncio.sleep(0)
        asked[0].cancel()
        await settle()
        assert asked[1].done()


async def test_a_deadline_that_passes_in_the_queue_is_told_at_once_and_nothing_is_asked_r1(bench):
    bench = bench()
    busy = await bench.occupy()
    late = bench.send(make_request(1), deadline=bench.clock.now + 0.01)
    other = bench.ask(2)
    with pytest.raises(DeadlineExceeded, match="deadline"):
        await late
    assert bench.batcher.waiting == 1
    busy.succeed()
    await settle()
    assert bench.calls[-1].values == [2]
    bench.calls[-1].succeed()
    assert values_of(await other) == [4]


async def test_who_waits_longer_than_queue_timeout_is_told_so(bench):
    bench = bench()
    await bench.occupy()
    now = bench.clock.now
    with pytest.raises(DeadlineExceeded, match="queue_timeout"):
        await bench.send(make_request(1), start_by=now + 0.01, deadline=now + HOUR)


async def test_what_is_late_when_the_model_falls_free_is_not_asked(bench):
    bench = bench()
    busy = await bench.occupy()
    late = bench.send(make_request(1), deadline=bench.clock.now + HOUR)
    later = bench.send(make_request(2), deadline=bench.clock.now + 2 * HOUR)
    await settle()
    bench.clock.now += 1.5 * HOUR
    busy.succeed()
    with pytest.raises(DeadlineExceeded):
        await late
    await settle()
    assert bench.calls[-1].values == [2]
    bench.calls[-1].succeed()
    assert values_of(await later) == [4]


def failing_on(*bad, error=lambda values: RuntimeFailed(f"bad {values}")):
    """A model that fails on any batch with one of these values; and what it was asked."""
    asked = []

    async def model(request, context):
        values = values_of(request)
        asked.append(values)
        await asyncio.sleep(0)
        if set(values) & set(bad):
            raise error([each for each in values if each in bad])
        return doubled(request)

    return model, asked


async def outcomes(bench, *values):
    """Asks all while the model is busy; the answers and errors."""
    first = bench.ask(-1.0)
    asked = [bench.ask(value) for value in values]
    await first
    return await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize("kind", [RuntimeFailed, InvalidRequest, MLServerError, TooLarge])
async def test_of_a_batch_that_fails_only_the_culprits_get_an_error_each_its_own_r4_w20(
    bench, kind
):
    model, asked = failing_on(3, 5, error=lambda values: kind(f"bad {values}"))
    found = await outcomes(bench(model=model), 1, 2, 3, 4, 5, 6, 7)
    errors = {n: each for n, each in enumerate(found) if isinstance(each, Exception)}
    assert {n: (type(each), str(each)) for n, each in errors.items()} == {
        2: (kind, "bad [3.0]"),
        4: (kind, "bad [5.0]"),
    }
    good = [values_of(each) for n, each in enumerate(found) if n not in errors]
    assert good == [[2], [4], [8], [12], [14]]
    assert asked[:4] == [[-1], [1, 2, 3, 4, 5, 6, 7], [1, 2, 3], [4, 5, 6, 7]]


async def test_who_has_left_is_not_asked_again_after_a_failure(bench):
    bench = bench()
    asked, call = await bench.gather((1,), (2,), (3,))
    asked[0].cancel()
    await settle()
    call.answer.set_exception(RuntimeFailed("bad"))
    await settle()
    assert sorted(each.values for each in bench.calls[2:]) == [[2, 3]]


async def test_a_retry_is_not_refused_for_its_time_in_the_queue_but_for_its_deadline(bench):
    bench = bench()
    now = bench.clock.now
    busy = await bench.occupy()
    waited = bench.send(make_request(1), start_by=now + HOUR)
    late = bench.send(make_request(2), deadline=now + HOUR)
    await settle()
    busy.succeed()
    await settle()
    bench.clock.now += 2 * HOUR
    bench.calls[-1].answer.set_exception(RuntimeFailed("bad"))
    with pytest.raises(DeadlineExceeded, match="deadline"):
        await late
    await settle()
    assert bench.calls[-1].values == [1]
    bench.calls[-1].succeed()
    assert values_of(await waited) == [2]


async def test_a_batch_that_was_quarantined_is_asked_one_by_one(bench):
    model, asked = failing_on(3, error=lambda values: Quarantined(f"bad {values}"))
    found = await outcomes(bench(model=model), 1, 2, 3, 4)
    assert asked == [[-1], [1, 2, 3, 4], [1], [2], [3], [4]]
    assert [type(each) for each in found].count(Quarantined) == 1


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("gone"),
        Overloaded("full"),
        DeadlineExceeded("late"),
        ModelNotReady("m", "v1"),
        InternalError("bug"),
        ValueError("a bug of ours"),
    ],
)
async def test_an_error_that_is_not_about_the_requests_goes_to_each_as_its_own_and_is_final(
    bench, error
):
    bench = bench()
    asked, call = await bench.gather((1,), (2,), (3,))
    call.answer.set_exception(error)
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert len(bench.calls) == 2
    assert len({id(each) for each in [error, *found]}) == 4
    for each in found:
        assert type(each) is type(error)
        assert str(each) == str(error)
        assert getattr(each, "status_code", None) == getattr(error, "status_code", None)


async def test_errors_of_a_runtime_are_told_to_each_whatever_they_are_made_of(bench):
    class Odd(MLServerError):
        code = ErrorCode.UNAVAILABLE

        def __init__(self, one, *, other):
            super().__init__(f"{one} {other}", 418)
            self.other = other

    bench = bench()
    asked, call = await bench.gather((1,), (2,))
    call.answer.set_exception(Odd("a", other="b"))
    for each in await asyncio.gather(*asked, return_exceptions=True):
        assert (type(each), str(each), each.status_code, each.other) == (Odd, "a b", 418, "b")


async def test_with_idempotent_false_nothing_is_asked_twice(bench):
    bench = bench(idempotent=False)
    asked, call = await bench.gather((1,), (2,))
    call.answer.set_exception(RuntimeFailed("bad"))
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(each) for each in found] == ["bad", "bad"]
    assert len(bench.calls) == 2


def without_rows(request):
    """One value for all rows, as of a model that was never meant for batches."""
    output = ResponseOutput(name="y", shape=[1], datatype="FP64", data=[sum(values_of(request))])
    return InferenceResponse(model_name="m", id=request.id, outputs=[output])


async def test_a_model_that_does_not_answer_by_rows_is_asked_alone_and_told_once(bench, caplog):
    async def model(request, context):
        await asyncio.sleep(0)
        return without_rows(request)

    bench = bench(model=model)
    with caplog.at_level(logging.ERROR, "mlserver"):
        for _ in range(2):
            found = await outcomes(bench, 1, 2, 3)
            assert [values_of(each) for each in found] == [[1], [2], [3]]
    (record,) = caplog.records
    assert "'m'" in record.getMessage()
    assert "shape [1] for 3 rows" in record.getMessage()


async def test_an_answer_that_cannot_be_split_is_an_error_where_nothing_may_run_twice(bench):
    bench = bench(idempotent=False)
    asked, call = await bench.gather((1,), (2,))
    call.answer.set_result(without_rows(call.request))
    for each in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(each, RuntimeFailed)
        assert "'y' has shape [1] for 2 rows" in str(each)


async def test_a_batch_whose_work_is_cancelled_from_within_hangs_nobody(bench):
    async def model(request, context):
        await asyncio.sleep(0)
        if len(values_of(request)) > 1:
            raise asyncio.CancelledError
        return doubled(request)

    found = await outcomes(bench(model=model), 1, 2)
    assert [type(each) for each in found] == [RuntimeFailed, RuntimeFailed]


async def test_what_is_asked_and_what_waits_is_counted(bench):
    metrics = Counted()
    bench = bench(metrics=metrics)
    await bench.gather((1, 2), (3,))
    bench.ask(*range(20))
    await settle()
    assert metrics.batches == [(1, 1), (2, 3), (1, 20)]


async def test_what_is_asked_again_is_counted_again(bench):
    metrics = Counted()
    _, call = await bench(metrics=metrics).gather((1, 2), (3,))
    call.answer.set_exception(RuntimeFailed("one of them"))
    await until(lambda: len(metrics.batches) == 4)
    assert metrics.batches == [(1, 1), (2, 3), (1, 2), (1, 1)]


@pytest.mark.parametrize(
    ("size", "seconds", "lacking"),
    [
        (8, 0, "needs max_batch_time (seconds, above 0)"),
        (0, 0.1, "needs max_batch_size (rows, at least 2)"),
        (1, 0.1, "max_batch_size"),
    ],
)
async def test_one_setting_without_the_other_warns_and_says_what_to_set_w42(
    caplog, size, seconds, lacking
):
    async def infer(request, context):
        raise AssertionError

    values = {"max_batch_size": size, "max_batch_time": seconds}
    settings = ModelSettings(name="m", implementation="echo", **values)
    assert batched(infer, settings, ModelMetrics(), 1) is infer
    assert lacking in caplog.text
    caplog.clear()
    assert batched(infer, settings, ModelMetrics(), 0) is infer  # somebody else merges
    off = ModelSettings(name="m", implementation="echo", max_batch_size=1)
    assert batched(infer, off, ModelMetrics(), 1) is infer
    assert caplog.text == ""
