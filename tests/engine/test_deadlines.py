"""Queues, deadlines, and what becomes of the work."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing

import pytest

from mlserver_core import MLModel, ModelSettings, custom_handler
from mlserver_core.engine.deadlines import Deadline, Deadlines
from mlserver_core.errors import DeadlineExceeded, Overloaded, RuntimeFailed
from mlserver_core.types import InferenceRequest, InferenceResponse, RequestInput
from mlserver_core.types.context import RequestContext, request_context

LONG = 30
SOON = 0.05
CALLER = "the deadline of the call has passed"


def model(implementation, name="m", **settings):
    return ModelSettings(name=name, implementation=implementation, **settings)


def request(id="7"):
    tensor = RequestInput(name="x", shape=[1], datatype="FP64", data=[1.0])
    return InferenceRequest(id=id, inputs=[tensor])


def within(seconds):
    return RequestContext(deadline=time.monotonic() + seconds)


class Scene:
    """What a model does, and when the test lets it go on."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.entered, self.ended = asyncio.Event(), asyncio.Event()
        self.go, self.open = threading.Event(), asyncio.Event()
        self.ran, self.contexts = [], []

    def note(self, payload):
        self.ran.append(payload.id)
        self.contexts.append(request_context())
        self.loop.call_soon_threadsafe(self.entered.set)


@pytest.fixture
async def scene():
    made = Scene()
    yield made
    made.go.set()
    made.open.set()


def answer():
    return InferenceResponse(outputs=[])


def waiting(scene):
    """A model that waits until it is cancelled, and says so."""

    class Runtime(MLModel):
        async def predict(self, payload):
            scene.note(payload)
            try:
                await scene.open.wait()
            finally:
                scene.ended.set()
            return answer()

    return Runtime


def stubborn(scene):
    """A model that does not let itself be cancelled."""

    class Runtime(MLModel):
        async def predict(self, payload):
            scene.note(payload)
            while not scene.open.is_set():
                try:
                    await scene.open.wait()
                except asyncio.CancelledError:
                    continue
            scene.ended.set()
            return answer()

    return Runtime


def plain(scene):
    """A model whose only thread waits."""

    class Runtime(MLModel):
        def predict(self, payload):
            scene.note(payload)
            assert scene.go.wait(LONG)
            return answer()

    return Runtime


@pytest.mark.parametrize("make", [waiting, stubborn, plain])
async def test_caller_is_told_on_time_whatever_the_model_does(start, scene, make):
    engine = await start(model(make(scene)))
    context = within(SOON)
    with pytest.raises(DeadlineExceeded) as late:
        await engine.infer("m", None, request(), context)
    assert str(late.value) == CALLER
    assert scene.ran == ["7"]
    assert context.cancelled
    assert scene.contexts == [context]


async def test_work_of_a_late_request_is_cancelled(start, scene):
    engine = await start(model(waiting(scene)))
    with pytest.raises(DeadlineExceeded):
        await engine.infer("m", None, request(), within(SOON))
    await asyncio.wait_for(scene.ended.wait(), LONG)
    assert engine.in_flight.count == 0


async def test_work_that_goes_on_after_its_deadline_is_still_in_flight(start, scene):
    engine = await start(model(stubborn(scene)))
    with pytest.raises(DeadlineExceeded):
        await engine.infer("m", None, request(), within(SOON))
    assert engine.in_flight.count == 1
    unloading = asyncio.ensure_future(engine.unload_model("m"))
    done, _ = await asyncio.wait([unloading], timeout=SOON)
    assert not done
    scene.open.set()
    await asyncio.wait_for(unloading, LONG)
    assert engine.in_flight.count == 0


async def test_late_request_reaches_no_model(start, scene):
    engine = await start(model(waiting(scene)))
    with pytest.raises(DeadlineExceeded):
        await engine.infer("m", None, request(), within(-1))
    assert scene.ran == []
    assert engine.in_flight.count == 0


@pytest.mark.parametrize("is_stream", [False, True])
def test_nobody_is_told_before_the_time(is_stream):
    uvloop = pytest.importorskip("uvloop")  # its timers are early at times

    async def wait():
        await asyncio.Event().wait()

    async def items():
        await wait()
        yield

    async def early(deadlines, seconds):
        deadline = Deadline(time.monotonic() + seconds, "late")
        if is_stream:
            work = anext(deadlines.steps(items(), RequestContext(), deadline))
        else:
            work = deadlines.finish(wait(), RequestContext(), deadline)
        with pytest.raises(DeadlineExceeded):
            await work
        return deadline.left()

    async def try_many():
        deadlines = Deadlines()
        return [await early(deadlines, 0.001 + n * 1e-5) for n in range(300)]

    assert max(uvloop.run(try_many())) == 0


async def test_server_sets_the_deadline_and_the_model_another(start, scene):
    other = Scene()
    engine = await start(
        model(waiting(scene)),
        model(waiting(other), name="n", request_timeout=SOON / 2),
        request_timeout=SOON,
    )
    for name, seconds in (("m", SOON), ("n", SOON / 2)):
        with pytest.raises(DeadlineExceeded) as late:
            await engine.infer(name, None, request(), RequestContext())
        expected = f"there was no answer within request_timeout ({seconds} seconds)"
        assert str(late.value) == expected


@pytest.mark.parametrize(
    ("caller", "own", "text"), [(SOON, 600, CALLER), (600, SOON, "request_timeout")]
)
async def test_smaller_of_the_two_deadlines_counts(start, scene, caller, own, text):
    engine = await start(model(waiting(scene), request_timeout=own))
    with pytest.raises(DeadlineExceeded, match=text):
        await engine.infer("m", None, request(), within(caller))
    assert 0 < scene.contexts[0].deadline <= time.monotonic()


async def test_request_without_a_deadline_has_none(start, scene, ask):
    engine = await start(model(waiting(scene)))
    scene.open.set()
    await ask(engine)
    assert scene.contexts[0].deadline is None
    assert scene.contexts[0].start_by is None


async def test_answer_and_error_come_through_before_the_deadline(start):
    class Runtime(MLModel):
        async def predict(self, payload):
            if payload.id == "bad":
                raise ValueError("bad one")
            return answer()

    engine = await start(model(Runtime, request_timeout=600))
    assert (await engine.infer("m", None, request(), RequestContext())).id == "7"
    with pytest.raises(RuntimeFailed, match="ValueError: bad one"):
        await engine.infer("m", None, request("bad"), RequestContext())


async def test_timeout_error_of_a_runtime_is_its_own(start):
    class Runtime(MLModel):
        async def predict(self, payload):
            raise asyncio.TimeoutError("of the database")

    engine = await start(model(Runtime, request_timeout=600))
    with pytest.raises(RuntimeFailed, match="TimeoutError: of the database"):
        await engine.infer("m", None, request(), RequestContext())


@pytest.mark.parametrize("make", [waiting, stubborn])
async def test_caller_who_leaves_is_no_late_one(start, scene, make):
    engine = await start(model(make(scene), request_timeout=600))
    context = RequestContext()
    asked = asyncio.ensure_future(engine.infer("m", None, request(), context))
    await scene.entered.wait()
    asked.cancel()
    await asyncio.wait([asked])
    assert asked.cancelled()
    scene.open.set()
    await asyncio.wait_for(scene.ended.wait(), LONG)
    await engine.in_flight.drained(LONG)
    if make is waiting:
        assert context.cancelled


async def test_late_requests_are_counted_as_failures(start, scene, scrape):
    engine = await start(model(waiting(scene), request_timeout=SOON))
    with pytest.raises(DeadlineExceeded):
        await engine.infer("m", None, request(), RequestContext())
    name = "model_infer_request_failure_total"
    assert scrape(engine).value(name, model="m", version="") == 1


# Streams


def streaming(scene, plain=False):
    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            task = asyncio.current_task()
            async for payload in payloads:
                scene.note(payload)
            try:
                for _ in range(3):
                    assert asyncio.current_task() is task
                    yield answer()
                await scene.open.wait()
                yield answer()
            finally:
                scene.ended.set()

    class Plain(MLModel):
        def predict_stream(self, payloads):
            for payload in payloads:
                scene.note(payload)
                try:
                    for _ in range(3):
                        yield answer()
                    assert scene.go.wait(LONG)
                    yield answer()
                finally:
                    scene.loop.call_soon_threadsafe(scene.ended.set)

    return Plain if plain else Runtime


async def one():
    yield request()


async def collect(responses, got):
    async for response in responses:
        got.append(response)


@pytest.mark.parametrize("is_plain", [False, True])
async def test_stream_ends_at_its_deadline(start, scene, is_plain):
    engine = await start(model(streaming(scene, is_plain), request_timeout=10 * SOON))
    context, got = RequestContext(), []
    with pytest.raises(DeadlineExceeded, match="request_timeout"):
        await collect(engine.infer_stream("m", None, one(), context), got)
    assert len(got) == 3
    assert context.cancelled
    scene.go.set()
    await asyncio.wait_for(scene.ended.wait(), LONG)
    assert await engine.in_flight.drained(LONG)


async def test_stream_that_nobody_reads_ends_at_its_deadline_too(start, scene):
    engine = await start(model(streaming(scene), request_timeout=10 * SOON))
    async with aclosing(engine.infer_stream("m", None, one(), RequestContext())) as responses:
        await anext(responses)
        await asyncio.wait_for(scene.ended.wait(), LONG)  # the model, between two items
        assert await engine.in_flight.drained(LONG)
        with pytest.raises(DeadlineExceeded):
            await anext(responses)


async def test_stream_with_a_deadline_runs_only_as_it_is_asked_for(start):
    made = []

    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            for number in range(3):
                made.append(number)
                yield answer()

    engine = await start(model(Runtime, request_timeout=600))
    async with aclosing(engine.infer_stream("m", None, one(), RequestContext())) as responses:
        for number in range(3):
            await anext(responses)
            await asyncio.sleep(0)
            assert made == list(range(number + 1))
        assert await anext(responses, None) is None
    assert engine.in_flight.count == 0


async def test_stream_that_was_over_in_time_is_not_late_afterwards(start, scene):
    scene.open.set()
    engine = await start(model(streaming(scene), request_timeout=10 * SOON))
    context, got = RequestContext(), []
    await collect(engine.infer_stream("m", None, one(), context), got)
    await asyncio.sleep(12 * SOON)
    assert len(got) == 4
    assert not context.cancelled


async def test_stream_with_a_deadline_that_is_left_is_closed(start, scene):
    engine = await start(model(streaming(scene), request_timeout=600))
    async with aclosing(engine.infer_stream("m", None, one(), RequestContext())) as responses:
        await anext(responses)
    await asyncio.wait_for(scene.ended.wait(), LONG)
    assert await engine.in_flight.drained(LONG)


async def test_late_stream_reaches_no_model(start, scene):
    engine = await start(model(streaming(scene)))
    with pytest.raises(DeadlineExceeded):
        await anext(engine.infer_stream("m", None, one(), within(-1)))
    assert scene.ran == []


async def test_error_of_a_stream_comes_through_before_the_deadline(start):
    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            yield answer()
            raise ValueError("in the middle")

    engine = await start(model(Runtime, request_timeout=600))
    responses = engine.infer_stream("m", None, one(), RequestContext())
    await anext(responses)
    with pytest.raises(RuntimeFailed, match="ValueError: in the middle"):
        await anext(responses)


# Custom handlers


async def test_custom_handler_has_a_deadline_and_a_place_in_the_queue(start, scene):
    class Runtime(MLModel):
        @custom_handler(rest_path="/waits", rest_method="GET")
        async def waits(self):
            scene.entered.set()
            try:
                await scene.open.wait()
            finally:
                scene.ended.set()

    async def bind():
        return {}

    engine = await start(model(Runtime, request_timeout=10 * SOON, max_queue_size=1))
    route = engine.find_route("GET", "/waits").route
    asked = asyncio.ensure_future(engine.call_route(route, bind, RequestContext()))
    await scene.entered.wait()
    with pytest.raises(Overloaded):
        await engine.call_route(route, bind, RequestContext())
    with pytest.raises(DeadlineExceeded, match="request_timeout"):
        await asked
    await asyncio.wait_for(scene.ended.wait(), LONG)


# Queues


async def test_queue_that_is_full_refuses_at_once_and_takes_more_when_it_is_not(start, scene):
    engine = await start(model(waiting(scene)), max_queue_size=2)
    asked = [
        asyncio.ensure_future(engine.infer("m", None, request(str(n)), RequestContext()))
        for n in range(2)
    ]
    await scene.entered.wait()
    with pytest.raises(Overloaded) as refused:
        await engine.infer("m", None, request("x"), RequestContext())
    assert str(refused.value) == (
        "model 'm' works on max_queue_size (2) requests already; try again later"
    )
    with pytest.raises(Overloaded):
        await anext(engine.infer_stream("m", None, one(), RequestContext()))
    assert engine.ready()
    assert engine.model_ready("m")
    assert (await engine.metadata("m")).name == "m"  # asks for no place
    scene.open.set()
    await asyncio.gather(*asked)
    await engine.infer("m", None, request("y"), RequestContext())
    assert scene.ran == ["0", "1", "y"]


async def test_metadata_that_is_asked_for_takes_no_place_in_the_queue(start):
    entered, go = asyncio.Event(), asyncio.Event()

    class Runtime(MLModel):
        async def metadata(self):
            entered.set()
            await go.wait()
            return await super().metadata()

        async def predict(self, payload):
            return InferenceResponse(outputs=[])

    engine = await start(model(Runtime, max_queue_size=1))
    asked = asyncio.ensure_future(engine.metadata("m"))
    await entered.wait()
    await engine.infer("m", None, request("x"), RequestContext())
    unloading = asyncio.ensure_future(engine.unload_model("m"))
    await asyncio.wait([unloading], timeout=0.05)
    assert not unloading.done()  # it is there until it has said what it is
    go.set()
    assert (await asked).name == "m"
    await unloading


async def test_a_models_own_queue_goes_before_the_servers(start, scene):
    other = Scene()
    engine = await start(
        model(waiting(scene)), model(waiting(other), name="n", max_queue_size=3), max_queue_size=1
    )
    asked = []
    for name, most in (("m", 1), ("n", 3)):
        for n in range(most):
            work = engine.infer(name, None, request(str(n)), RequestContext())
            asked.append(asyncio.ensure_future(work))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match=rf"{name}.*\({most}\)"):
            await engine.infer(name, None, request(), RequestContext())
    scene.open.set()
    other.open.set()
    await asyncio.gather(*asked)


async def test_request_that_waits_too_long_for_a_thread_is_refused_and_never_runs(start, scene):
    engine = await start(model(plain(scene), queue_timeout=SOON))
    first = asyncio.ensure_future(engine.infer("m", None, request("1"), RequestContext()))
    await scene.entered.wait()
    with pytest.raises(DeadlineExceeded) as late:
        await engine.infer("m", None, request("2"), RequestContext())
    assert str(late.value) == (
        f"the request waited more than queue_timeout ({SOON} seconds) for a thread of model 'm'"
    )
    scene.go.set()
    await first
    await engine.infer("m", None, request("3"), RequestContext())
    assert scene.ran == ["1", "3"]


async def test_request_that_has_begun_may_take_longer_than_it_may_wait(start, scene):
    engine = await start(model(plain(scene), queue_timeout=SOON))
    asked = asyncio.ensure_future(engine.infer("m", None, request(), RequestContext()))
    done, _ = await asyncio.wait([asked], timeout=4 * SOON)
    assert not done
    scene.go.set()
    await asked


async def test_later_steps_of_a_plain_stream_do_not_count_as_waiting(start, scene):
    engine = await start(model(streaming(scene, plain=True), queue_timeout=SOON))
    async with aclosing(engine.infer_stream("m", None, one(), RequestContext())) as responses:
        await anext(responses)
        context = scene.contexts[0]
        assert context.start_by is None
        scene.go.set()
        assert len([each async for each in responses]) == 3


async def test_later_requests_of_a_stream_do_not_count_as_waiting(start, scene):
    engine = await start(model(waiting(scene), queue_timeout=SOON))
    context, limits = RequestContext(), []
    scene.open.set()

    async def two():
        for _ in range(2):
            limits.append(context.start_by)
            yield request()

    async with aclosing(engine.infer_stream("m", None, two(), context)) as responses:
        assert len([each async for each in responses]) == 2
    assert limits[0] is not None
    assert limits[1] is None


async def test_request_whose_deadline_passes_in_the_queue_never_runs(start, scene):
    engine = await start(model(plain(scene)))
    first = asyncio.ensure_future(engine.infer("m", None, request("1"), RequestContext()))
    await scene.entered.wait()
    with pytest.raises(DeadlineExceeded, match=CALLER):
        await engine.infer("m", None, request("2"), within(SOON))
    scene.go.set()
    await first
    await engine.infer("m", None, request("3"), RequestContext())
    assert scene.ran == ["1", "3"]


async def test_own_limits_of_a_model_leave_the_settings_that_were_given_alone(start, scene):
    given = model(waiting(scene))
    await start(given, request_timeout=5)
    assert given.request_timeout is None
