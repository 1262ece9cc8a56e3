from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading
import weakref

import pytest

from mlserver_core.executors.interfaces import ModelSource
from mlserver_core.executors.threads import THREAD_PREFIX, ThreadsExecutor
from mlserver_core.settings import ModelSettings
from mlserver_core.types.context import RequestContext, current_request

LONG = 30


@pytest.fixture
async def load():
    """Loads models, and waits for the end of their threads at the end."""
    executors = []
    before = set(threading.enumerate())

    async def make(predict, *, threads=1, name="of-this-test", **methods):
        model = type("Model", (), {"ready": False, "load": nothing, "unload": nothing})()
        for method, function in {"predict": predict, **methods}.items():
            setattr(model, method, function)
        settings = ModelSettings(name=name, implementation="m.M", predict_threads=threads)
        executor = ThreadsExecutor(settings)
        executors.append(executor)
        await executor.load(ModelSource(settings=executor.settings, make=lambda: model))
        return executor

    yield make
    for executor in executors:
        await executor.close()
    for thread in {t for t in threading.enumerate() if THREAD_PREFIX in t.name} - before:
        await asyncio.to_thread(thread.join, LONG)
        assert not thread.is_alive()


def nothing(*_):
    return None


def threads_of(name):
    prefix = THREAD_PREFIX + name + "_"
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]


async def test_a_plain_predict_leaves_the_event_loop_free(load):
    loop = asyncio.get_running_loop()
    entered, go = asyncio.Event(), threading.Event()

    def predict(payload):
        loop.call_soon_threadsafe(entered.set)
        assert go.wait(LONG)
        return threading.current_thread()

    async def predict_async(payload):
        return payload

    slow = await load(predict, name="slow")
    quick = await load(predict_async, name="quick")
    asked = asyncio.ensure_future(slow.predict(None))
    await entered.wait()
    assert await quick.predict("answered meanwhile") == "answered meanwhile"
    go.set()
    assert await asked is not threading.current_thread()


async def test_a_plain_predict_of_one_model_does_not_hold_up_that_of_another(load):
    loop = asyncio.get_running_loop()
    entered, go = asyncio.Event(), threading.Event()

    def predict(payload):
        loop.call_soon_threadsafe(entered.set)
        assert go.wait(LONG)

    slow = await load(predict, name="slow")
    other = await load(lambda payload: payload, name="other")
    asked = asyncio.ensure_future(slow.predict(None))
    await entered.wait()
    assert await other.predict(1) == 1
    go.set()
    await asked


async def test_one_thread_takes_one_call_at_a_time_in_order(load):
    running, order, most = [], [], []

    def predict(payload):
        running.append(payload)
        most.append(len(running))
        order.append(payload)
        running.remove(payload)

    executor = await load(predict)
    await asyncio.gather(*(executor.predict(number) for number in range(50)))
    assert order == list(range(50))
    assert set(most) == {1}
    assert len(threads_of("of-this-test")) == 1


async def test_a_second_call_waits_for_the_first(load):
    loop = asyncio.get_running_loop()
    entered, go, done = asyncio.Event(), threading.Event(), []

    def predict(payload):
        if payload == "first":
            loop.call_soon_threadsafe(entered.set)
            assert go.wait(LONG)
        done.append(payload)

    executor = await load(predict)
    first = asyncio.ensure_future(executor.predict("first"))
    await entered.wait()
    second = asyncio.ensure_future(executor.predict("second"))
    await asyncio.sleep(0)
    assert done == []
    assert not second.done()
    go.set()
    await asyncio.gather(first, second)
    assert done == ["first", "second"]


async def test_two_threads_take_two_calls_at_once(load):
    together = threading.Barrier(2, timeout=LONG)
    executor = await load(lambda payload: together.wait() >= 0, threads=2)
    assert await asyncio.gather(executor.predict(1), executor.predict(2)) == [True, True]
    assert len(threads_of("of-this-test")) == 2


async def test_an_async_predict_runs_on_the_event_loop(load):
    async def predict(payload):
        return threading.current_thread()

    executor = await load(predict)
    assert await executor.predict(None) is threading.current_thread()


async def test_a_plain_function_that_returns_a_coroutine_is_awaited(load):
    async def answer(payload):
        return payload, threading.current_thread()

    def predict(payload):
        return answer(payload)

    executor = await load(predict)
    assert await executor.predict(1) == (1, threading.current_thread())


async def test_an_async_predict_behind_a_partial_is_awaited(load):
    async def answer(extra, payload):
        return extra, payload

    executor = await load(functools.partial(answer, "extra"))
    assert await executor.predict(1) == ("extra", 1)


async def test_context_variables_of_the_caller_are_seen_in_the_thread(load):
    variable = contextvars.ContextVar("of_the_test")

    def predict(payload):
        before = variable.get()
        variable.set("changed in the thread")
        return before

    executor = await load(predict)

    async def ask(value):
        variable.set(value)
        return await executor.predict(None), variable.get()

    answers = await asyncio.gather(*(ask(value) for value in "abc"))
    assert answers == [("a", "a"), ("b", "b"), ("c", "c")]


async def test_load_and_unload_run_in_the_thread_of_the_model(load):
    names = []

    def note():
        names.append(threading.current_thread().name)

    executor = await load(nothing, name="mine", load=note, unload=note)
    await executor.unload()
    assert names == [f"{THREAD_PREFIX}mine_0"] * 2


async def test_unload_ends_the_threads(load):
    executor = await load(nothing, threads=2)
    await asyncio.gather(executor.predict(None), executor.predict(None))
    threads = threads_of("of-this-test")
    assert threads
    await executor.unload()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


async def test_unload_ends_the_threads_also_when_the_model_fails_to_unload(load):
    calls = []

    def unload():
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("stuck")

    async def unload_async():
        unload()

    executor = await load(nothing, unload=unload_async)
    await executor.predict(None)
    [thread] = threads_of("of-this-test")
    with pytest.raises(ValueError, match="stuck"):
        await executor.unload()
    thread.join(LONG)
    assert not thread.is_alive()


async def test_unload_leaves_a_call_that_never_ends_behind(load):
    loop = asyncio.get_running_loop()
    entered, go = asyncio.Event(), threading.Event()

    def predict(payload):
        loop.call_soon_threadsafe(entered.set)
        assert go.wait(LONG)

    async def unload():
        pass

    executor = await load(predict, unload=unload)
    asked = asyncio.ensure_future(executor.predict(None))
    queued = asyncio.ensure_future(executor.predict(None))
    await entered.wait()
    await executor.unload()
    assert not asked.done()
    await asyncio.wait([queued])
    assert queued.cancelled()
    go.set()
    await asked


async def test_a_plain_unload_does_not_wait_for_a_call_that_never_ends(load):
    loop = asyncio.get_running_loop()
    entered, go = asyncio.Event(), threading.Event()

    def predict(payload):
        loop.call_soon_threadsafe(entered.set)
        go.wait()

    executor = await load(predict)  # its unload is a plain function
    asked = asyncio.ensure_future(executor.predict(None))
    await entered.wait()
    unloading = asyncio.ensure_future(executor.unload())
    try:
        done, _ = await asyncio.wait([unloading], timeout=5)
        assert done, "unload waits for the call"
    finally:
        go.set()
        await asyncio.wait([asked, unloading])


async def test_a_call_that_waits_its_turn_never_runs_once_its_caller_is_gone(load):
    loop = asyncio.get_running_loop()
    entered, go, ran = asyncio.Event(), threading.Event(), []

    def predict(payload):
        ran.append(payload)
        if payload == "first":
            loop.call_soon_threadsafe(entered.set)
            assert go.wait(LONG)

    executor = await load(predict)
    first = asyncio.ensure_future(executor.predict("first"))
    await entered.wait()
    second = asyncio.ensure_future(executor.predict("second"))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    go.set()
    await first
    await executor.predict("third")
    assert ran == ["first", "third"]


async def test_a_stop_iteration_in_a_thread_does_not_hang_the_caller(load):
    def predict(payload):
        raise StopIteration(1)

    executor = await load(predict)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await executor.predict(None)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(2)])
async def test_exceptions_come_out_of_the_thread(load, error):
    def predict(payload):
        raise error

    executor = await load(predict)
    with pytest.raises(type(error)) as raised:
        await executor.predict(None)
    assert raised.value is error


@pytest.mark.parametrize("is_stream", [False, True])
async def test_error_holds_its_request_no_longer_than_it_is_held(load, is_stream):
    class Payload:
        pass

    def predict(payload):
        raise ValueError("mine")

    def predict_stream(payloads):
        next(payloads)
        raise ValueError("mine")
        yield

    def make():
        payload = Payload()
        alive.append(weakref.ref(payload))
        return payload

    async def payloads():
        yield make()

    async def ask():
        try:
            if is_stream:
                await anext(executor.predict_stream(payloads()))
            else:
                await executor.predict(make())
        except ValueError:
            return
        raise AssertionError

    alive = []
    executor = await load(predict, predict_stream=predict_stream)
    gc.disable()  # nothing may need it
    try:
        await asyncio.create_task(ask())
        assert alive[0]() is None
    finally:
        gc.enable()


async def test_another_method_is_called_by_name_in_the_thread_of_the_model_or_on_the_loop(load):
    def explain(a, b):
        return a + b, threading.current_thread()

    async def explain_async(a):
        return a, threading.current_thread()

    executor = await load(nothing, explain=explain, explain_async=explain_async, name="calls")
    result, thread = await executor.call("explain", {"a": 1, "b": 2})
    assert result == 3
    assert thread.name.startswith(THREAD_PREFIX + "calls")
    assert await executor.call("explain_async", {"a": 5}) == (5, threading.main_thread())


async def test_a_plain_generator_runs_in_the_thread_of_the_model(load):
    def predict_stream(payloads):
        for payload in payloads:
            yield payload, threading.current_thread()

    async def payloads():
        yield 1
        yield 2

    executor = await load(nothing, predict_stream=predict_stream, name="streams")
    got = [each async for each in executor.predict_stream(payloads())]
    assert [value for value, _ in got] == [1, 2]
    assert all(thread.name.startswith(THREAD_PREFIX + "streams") for _, thread in got)


async def test_idle_waits_for_a_thread_whose_caller_has_left(load):
    loop = asyncio.get_running_loop()
    entered, go = asyncio.Event(), threading.Event()

    def predict(payload):
        loop.call_soon_threadsafe(entered.set)
        assert go.wait(LONG)

    executor = await load(predict, name="left-alone")
    await executor.idle()
    asked = asyncio.ensure_future(executor.predict(None))
    await entered.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    idle = asyncio.ensure_future(executor.idle())
    done, _ = await asyncio.wait([idle], timeout=0.05)
    assert not done
    go.set()
    await idle


async def test_a_plain_generator_behind_a_decorator_is_one_all_the_same(load):
    def predict_stream(payloads):
        for payload in payloads:
            yield payload * 2

    decorated = functools.partial(predict_stream)

    async def payloads():
        yield 1
        yield 2

    executor = await load(nothing, predict_stream=decorated, name="decorated")
    assert [each async for each in executor.predict_stream(payloads())] == [2, 4]


async def test_idle_for_a_request_waits_for_its_thread_and_for_no_other(load):
    loop = asyncio.get_running_loop()
    entered = {"mine": asyncio.Event(), "other": asyncio.Event()}
    go = {"mine": threading.Event(), "other": threading.Event()}

    def predict(payload):
        loop.call_soon_threadsafe(entered[payload].set)
        assert go[payload].wait(LONG)
        if payload == "mine":
            raise ValueError("for nobody")

    executor = await load(predict, threads=2)
    requests = {}

    async def ask(payload):
        requests[payload] = RequestContext()
        current_request.set(requests[payload])
        await executor.predict(payload)

    tasks = {payload: asyncio.ensure_future(ask(payload)) for payload in entered}
    for each in entered.values():
        await each.wait()
    tasks["mine"].cancel()
    await asyncio.wait([tasks["mine"]])
    waiting = asyncio.ensure_future(executor.idle_for(requests["mine"]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    go["mine"].set()
    await waiting
    assert not tasks["other"].done()
    go["other"].set()
    await tasks["other"]
