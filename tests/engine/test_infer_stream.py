from __future__ import annotations

import asyncio
import threading
import time

import pytest

from mlserver_core import request_context
from mlserver_core.errors import (
    InvalidRequest,
    MLServerError,
    ModelNotFound,
    ModelNotReady,
    RuntimeFailed,
    Unavailable,
)
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse, RequestInput, ResponseOutput
from mlserver_core.types.context import RequestContext


def settings(implementation, **fields):
    return ModelSettings(**{"name": "m", "implementation": implementation, **fields})


def answer(value):
    output = ResponseOutput(name="y", shape=[1], datatype="INT64", data=[value])
    return InferenceResponse(outputs=[output])


def request(value, **fields):
    tensor = RequestInput(name="x", shape=[1], datatype="INT64", data=[value])
    return InferenceRequest(inputs=[tensor], **fields)


async def source(*requests):
    for each in requests:
        yield each


def stream(engine, *requests, context=None):
    return engine.infer_stream("m", None, source(*requests), context or RequestContext())


async def values(responses):
    return [response.outputs[0].data[0] async for response in responses]


class Doubling(MLModel):
    """Answers each request twice."""

    async def predict_stream(self, payloads):
        async for payload in payloads:
            yield answer(payload.inputs[0].data[0])
            yield answer(payload.inputs[0].data[0] * 2)


class PlainDoubling(MLModel):
    def predict_stream(self, payloads):
        for payload in payloads:
            yield answer(payload.inputs[0].data[0])
            yield answer(payload.inputs[0].data[0] * 2)


class OnlyPredict(MLModel):
    def predict(self, payload):
        return answer(payload.inputs[0].data[0] + 1)


@pytest.mark.parametrize("runtime", [Doubling, PlainDoubling])
@pytest.mark.parametrize("executor", ["threads", "inline"])
async def test_a_stream_is_answered_by_predict_stream(start, runtime, executor):
    engine = await start(settings(runtime, executor=executor))
    assert await values(stream(engine, request(1), request(5))) == [1, 2, 5, 10]
    assert engine.in_flight.count == 0


async def test_a_model_with_predict_alone_answers_each_request_of_a_stream(start):
    engine = await start(settings(OnlyPredict))
    assert await values(stream(engine, request(1), request(5))) == [2, 6]


async def test_a_predict_stream_may_be_a_coroutine_that_returns_an_iterator(start):
    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            return Doubling.predict_stream(self, payloads)

    assert await values(stream(await start(settings(Runtime)), request(3))) == [3, 6]


async def test_every_answer_has_the_id_of_the_first_request_and_the_name_of_the_model(start):
    engine = await start(settings(Doubling, parameters={"version": "7"}))
    got = [each async for each in stream(engine, request(1, id="first"), request(2, id="second"))]
    assert {(each.id, each.model_name, each.model_version) for each in got} == {("first", "m", "7")}


async def test_a_missing_id_is_made_once_for_the_whole_stream(start):
    engine = await start(settings(Doubling))
    got = [each.id async for each in stream(engine, request(1), request(2))]
    assert len(got) == 4
    assert len(set(got)) == 1
    assert got[0]


async def test_requests_are_read_as_the_model_asks_for_them(start):
    read = []

    async def requests():
        for number in range(10):
            read.append(number)
            yield request(number)

    engine = await start(settings(Doubling))
    responses = engine.infer_stream("m", None, requests(), RequestContext())
    assert read == []
    await anext(responses)
    assert read == [0]
    await anext(responses)
    await anext(responses)
    assert read == [0, 1]
    await responses.aclose()


async def test_a_model_may_answer_before_it_has_read_a_request(start):
    class Eager(MLModel):
        async def predict_stream(self, payloads):
            yield answer(0)
            async for payload in payloads:
                yield answer(payload.inputs[0].data[0])

    assert await values(stream(await start(settings(Eager)), request(1))) == [0, 1]


async def test_an_unknown_model_is_told_when_the_first_answer_is_asked_for(start):
    engine = await start()
    with pytest.raises(ModelNotFound):
        await anext(stream(engine, request(1)))


async def test_a_model_that_is_not_ready_or_a_server_that_stops_answers_no_stream(start):
    engine = await start(settings(Doubling))
    engine.models.table.find("m").serving.model.ready = False
    with pytest.raises(ModelNotReady):
        await anext(stream(engine, request(1)))
    await engine.models.stop_loading()
    with pytest.raises(Unavailable):
        await anext(stream(engine, request(1)))


async def test_a_stream_without_a_request_is_refused(start):
    engine = await start(settings(Doubling))
    with pytest.raises(InvalidRequest, match="the stream ended before a request came"):
        await anext(stream(engine))
    assert engine.in_flight.count == 0


@pytest.mark.parametrize("runtime", [Doubling, OnlyPredict])
async def test_a_bad_tensor_in_a_later_request_ends_the_stream_with_its_error(start, runtime):
    engine = await start(settings(runtime))
    bad = request(1)
    bad.inputs[0].shape = [3]
    responses = stream(engine, request(1), bad)
    for _ in range(2 if runtime is Doubling else 1):
        await anext(responses)
    with pytest.raises(InvalidRequest, match="expects 3 elements"):
        await anext(responses)
    assert engine.in_flight.count == 0


@pytest.mark.parametrize(
    ("error", "expected", "text"),
    [
        (ValueError("too hot in /srv/x/y.bin"), RuntimeFailed, "ValueError: too hot in y.bin"),
        (MLServerError("busy", 429), MLServerError, "busy"),
        (asyncio.CancelledError(), RuntimeFailed, "the runtime cancelled its own work"),
    ],
)
async def test_an_error_after_the_first_answer_comes_through_as_in_predict(
    start, error, expected, text
):
    if isinstance(error, asyncio.CancelledError) and not hasattr(
        asyncio.current_task(), "cancelling"
    ):
        pytest.skip("a task of Python 3.10 cannot tell this from a client that went away")

    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            yield answer(1)
            raise error

    responses = stream(await start(settings(Runtime)), request(1))
    await anext(responses)
    with pytest.raises(expected, match=text):
        await anext(responses)


async def test_what_is_no_response_is_an_error_of_the_runtime(start):
    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            yield {"outputs": []}

    with pytest.raises(RuntimeFailed, match="must return an InferenceResponse, got dict"):
        await anext(stream(await start(settings(Runtime)), request(1)))


@pytest.mark.parametrize("plain", [False, True])
async def test_closing_the_stream_closes_the_generator_of_the_model(start, plain):
    closed = threading.Event()

    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            try:
                while True:
                    yield answer(1)
            finally:
                closed.set()

    class PlainRuntime(MLModel):
        def predict_stream(self, payloads):
            try:
                while True:
                    yield answer(1)
            finally:
                closed.set()

    engine = await start(settings(PlainRuntime if plain else Runtime))
    responses = stream(engine, request(1))
    await anext(responses)
    await responses.aclose()
    assert closed.is_set()
    assert engine.in_flight.count == 0


async def test_a_plain_generator_that_a_thread_is_in_is_closed_when_the_thread_comes_out(start):
    loop = asyncio.get_running_loop()
    entered, go, closed = asyncio.Event(), threading.Event(), asyncio.Event()

    class Runtime(MLModel):
        def predict_stream(self, payloads):
            try:
                loop.call_soon_threadsafe(entered.set)
                assert go.wait(30)
                yield answer(1)
            finally:
                loop.call_soon_threadsafe(closed.set)

    engine = await start(settings(Runtime))
    asked = asyncio.ensure_future(anext(stream(engine, request(1))))
    await entered.wait()
    asked.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await closed.wait()


async def test_a_caller_who_goes_away_cancels_the_stream_and_the_model_can_see_it(start):
    entered, contexts = asyncio.Event(), []

    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            contexts.append(request_context())
            entered.set()
            await asyncio.Event().wait()
            yield

    engine = await start(settings(Runtime))
    asked = asyncio.ensure_future(anext(stream(engine, request(1))))
    await entered.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert contexts[0].cancelled
    assert engine.in_flight.count == 0


async def test_the_code_of_a_stream_finds_its_modules_and_the_request_in_every_step(
    start, folder_model, write
):
    write("m/helpers.py", "VALUE = 7")
    code = """
    import importlib
    from mlserver_core import MLModel, request_context
    from mlserver_core.types import InferenceResponse

    class Model(MLModel):
        async def predict_stream(self, payloads):
            async for payload in payloads:
                helpers = importlib.import_module("helpers")
                yield InferenceResponse(outputs=[], parameters={
                    "value": helpers.VALUE, "transport": request_context().transport})
    """
    engine = await start(folder_model("m", code))
    got = stream(engine, request(1), request(2), context=RequestContext(transport="t"))
    seen = [(each.parameters.value, each.parameters.transport) async for each in got]
    assert seen == [(7, "t"), (7, "t")]
    assert request_context() is None


async def test_streams_carry_cloud_event_headers_both_ways(start):
    class Runtime(MLModel):
        async def predict_stream(self, payloads):
            async for payload in payloads:
                yield InferenceResponse(outputs=[], parameters={"seen": payload.parameters.headers})

    engine = await start(settings(Runtime))
    [response] = [each async for each in stream(engine, request(1, id="7"))]
    assert response.parameters.seen["Ce-Id"] == "7"
    assert response.parameters.seen["Ce-Type"] == "io.seldon.serving.inference.request"
    assert response.parameters.headers["Ce-Type"] == "io.seldon.serving.inference.response"


async def test_the_deadline_of_a_request_reaches_plain_code_too(start, ask):
    seen = []

    class Runtime(MLModel):
        def predict(self, payload):
            seen.append(request_context().remaining())
            return answer(1)

    engine = await start(settings(Runtime))
    context = RequestContext(deadline=time.monotonic() + 60)
    await engine.infer("m", None, request(1), context)
    assert 0 < seen[0] <= 60
