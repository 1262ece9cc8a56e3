from __future__ import annotations

import asyncio
import os

import pytest

from mlserver_core.errors import (
    ErrorCode,
    InternalError,
    InvalidRequest,
    MLServerError,
    RuntimeFailed,
    Unavailable,
)
from mlserver_core.executors.processes.frames import Kind
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext

MODEL = """
import asyncio
import logging
import pathlib
import threading

from mlserver_core import MLModel, request_context
from mlserver_core.errors import MLServerError
from mlserver_core.types import InferenceResponse, Parameters, ResponseOutput

HERE = pathlib.Path(__file__).parent
logger = logging.getLogger("mlserver")


def answer(*data):
    output = ResponseOutput(name="y", shape=[len(data)], datatype="BYTES", data=list(data))
    return InferenceResponse(outputs=[output])


class Own(MLServerError):
    pass


class Base(MLModel):
    def load(self):
        self.stages = []
        return True

    def act(self, what):
        if what == "value":
            raise ValueError("of /home/somebody/file.bin")
        if what == "told":
            raise MLServerError("told so", 409)
        if what == "own":
            raise Own("a class of its own", 422)
        if what == "exit":
            raise SystemExit(3)
        if what == "cancelled":
            raise asyncio.CancelledError
        if what == "nothing":
            return None
        if what == "unsendable":
            return InferenceResponse(outputs=[], parameters=Parameters(lock=threading.Lock()))
        if what == "misfit":
            output = ResponseOutput(name="y", shape=[3], datatype="FP64", data=[1.0])
            return InferenceResponse(outputs=[output])
        if what == "stages":
            return answer(*self.stages)
        context = request_context()
        return answer(what, context.transport, context.headers.get("x-tenant", ""),
                      str(context.deadline is not None), str(context.cancelled))


class Model(Base):
    async def predict(self, payload):
        if payload.id == "wait":
            self.stages.append("begun")
            logger.info("begun")
            try:
                await asyncio.Event().wait()
            finally:
                self.stages.append(f"left {request_context().cancelled}")
        if payload.id == "ignore":
            logger.info("begun")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return answer("all the same")
        return self.act(payload.id)


class Threaded(Base):
    def predict(self, payload):
        if payload.id == "wait":
            self.stages.append("begun")
            logger.info("begun")
            (HERE / "gate").read_text()  # returns when somebody writes into it
            self.stages.append(f"left {request_context().cancelled}")
        return self.act(payload.id)
"""


@pytest.fixture
def gate(tmp_path):
    """Lets plain code that waits go on."""
    (tmp_path / "m").mkdir()
    os.mkfifo(tmp_path / "m" / "gate")
    return lambda: asyncio.to_thread((tmp_path / "m" / "gate").write_text, "open")


async def stages(worker):
    return list((await worker.predict(1.0, id="stages")).outputs[0].data)


@pytest.mark.parametrize("implementation", ["models.Model", "models.Threaded"])
@pytest.mark.parametrize("error_detail", [True, False])
async def test_failures_have_the_code_status_and_text_that_they_have_in_the_server(
    start, ask, start_worker, folder_model, implementation, error_detail
):
    settings = folder_model("m", MODEL, implementation)
    engine = await start(settings, error_detail=error_detail)
    worker = await start_worker(error_detail=error_detail)
    await worker.load(settings)
    for what in ("value", "told", "own", "exit", "cancelled", "nothing", "misfit"):
        with pytest.raises(MLServerError) as here:
            await ask(engine, id=what)
        with pytest.raises(MLServerError) as there:
            await worker.predict(1.0, id=what)
        for name in ("code", "status_code"):
            assert getattr(there.value, name) == getattr(here.value, name)
        assert str(there.value) == str(here.value)


async def test_traceback_of_a_failure_is_in_the_log(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    with pytest.raises(RuntimeFailed):
        await worker.predict(1.0, id="value")
    record = await worker.logged("Model 'm' failed on request value")
    assert 'models.py", line' in record["traceback"]


async def test_answer_that_cannot_be_sent_is_an_error_that_says_where(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    with pytest.raises(RuntimeFailed, match=r"the model's answer cannot be sent.*lock.*got lock"):
        await worker.predict(1.0, id="unsendable")
    assert (await worker.predict(1.0, id="next")).id == "next"


ODD = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, Parameters

class Odd(dict):
    def items(self):
        raise ValueError("no items")

class Model(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[], parameters=Parameters(odd=Odd(a=1)))
"""


async def test_an_answer_that_raises_when_it_is_sent_is_an_error_too(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", ODD))
    with pytest.raises(InternalError):
        await worker.predict(1.0, id="odd")
    assert "no items" in (await worker.logged("An answer cannot be sent"))["traceback"]


async def test_context_of_a_request_is_known_to_the_model(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    call = worker.begin_predict(1.0, id="x", transport="rest", headers={"x-tenant": "blue"})
    assert list((await worker.next(call)).body.outputs[0].data) == [
        "x",
        "rest",
        "blue",
        "False",
        "False",
    ]


async def test_cancelled_call_ends_once_and_the_model_knows(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    call = worker.begin_predict(1.0, id="wait")
    await worker.logged("begun")
    for _ in range(2):
        worker.connection.send(Kind.CANCEL, call, {"expired": False})
    ended = await worker.next(call)
    assert (ended.kind, ended.body.code) == (Kind.ERROR, ErrorCode.CANCELLED)
    assert await stages(worker) == ["begun", "left True"]
    assert worker._answers[call].empty()


async def test_call_that_is_cancelled_before_it_begins_ends_too(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    call = worker.begin_predict(1.0, id="wait")
    worker.connection.send(Kind.CANCEL, call, {"expired": True})
    assert (await worker.next(call)).body.code is ErrorCode.CANCELLED
    worker.connection.send(Kind.CANCEL, call, {"expired": True})
    assert await stages(worker) in ([], ["begun", "left True"])


async def test_model_that_answers_all_the_same_is_heard(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    call = worker.begin_predict(1.0, id="ignore")
    await worker.logged("begun")
    worker.connection.send(Kind.CANCEL, call, {"expired": False})
    ended = await worker.next(call)
    assert (ended.kind, list(ended.body.outputs[0].data)) == (Kind.RESULT, ["all the same"])


async def test_cancelled_call_of_plain_code_ends_when_that_does(start_worker, folder_model, gate):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL, "models.Threaded", predict_threads=2))
    call = worker.begin_predict(1.0, id="wait")
    await worker.logged("begun")
    worker.connection.send(Kind.CANCEL, call, {"expired": False})
    assert await stages(worker) == ["begun"]
    assert worker._answers[call].empty()
    await gate()
    assert (await worker.next(call)).body.code is ErrorCode.CANCELLED
    assert await stages(worker) == ["begun", "left True"]


async def test_plain_code_that_waits_for_a_thread_is_never_begun_once_cancelled(
    start_worker, folder_model, gate
):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL, "models.Threaded"))
    busy, waiting = (worker.begin_predict(1.0, id="wait") for _ in range(2))
    await worker.logged("begun")
    worker.connection.send(Kind.CANCEL, waiting, {"expired": True})
    assert (await worker.next(waiting)).body.code is ErrorCode.CANCELLED
    await gate()
    assert (await worker.next(busy)).kind is Kind.RESULT
    assert await stages(worker) == ["begun", "left False"]


async def test_frames_of_a_call_that_is_over_change_nothing(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    for kind in (Kind.CANCEL, Kind.NEXT, Kind.INPUT, Kind.INPUT_END, Kind.INPUT_ERROR):
        worker.connection.send(kind, 1, None)
    assert (await worker.predict(1.0, id="x")).id == "x"


async def test_metadata_is_what_the_model_says(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL, platform="mine"))
    body = {"generation": 1, "arguments": {}, "context": RequestContext()}
    found = await worker.ask(Kind.CALL, {**body, "method": "metadata"})
    assert (found.name, found.platform) == ("m", "mine")
    with pytest.raises(MLServerError, match="a worker calls no 'unload'"):
        await worker.ask(Kind.CALL, {**body, "method": "unload"})


@pytest.mark.parametrize("kind", [Kind.PREDICT, Kind.STREAM, Kind.CALL, Kind.EXCHANGE])
async def test_call_of_a_model_that_is_not_here_is_unavailable(start_worker, kind):
    worker = await start_worker()
    call = worker.begin(kind, {"generation": 7, "request": None, "method": "metadata"})
    ended = await worker.next(call)
    assert ended.kind is Kind.ERROR
    assert isinstance(ended.body, Unavailable)


STREAMS = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput


class Base(MLModel):
    def load(self):
        self.made = 0
        self.closed = "open"

    def answer(self):
        self.made += 1
        output = ResponseOutput(name="y", shape=[1], datatype="INT64", data=[self.made])
        return InferenceResponse(outputs=[output])

    async def predict(self, payload):
        output = ResponseOutput(name="y", shape=[2], datatype="BYTES",
                                data=[str(self.made), self.closed])
        return InferenceResponse(outputs=[output])


class Model(Base):
    async def predict_stream(self, payloads):
        try:
            async for payload in payloads:
                for _ in range(int(payload.inputs[0].data[0])):
                    yield self.answer()
        except BaseException as error:
            self.closed = type(error).__name__
            raise


class Plain(Base):
    def predict_stream(self, payloads):
        try:
            for payload in payloads:
                for _ in range(int(payload.inputs[0].data[0])):
                    yield self.answer()
        except BaseException as error:
            self.closed = type(error).__name__
            raise
"""


async def begin_stream(worker, folder_model, implementation):
    await worker.load(folder_model("s", STREAMS, implementation))
    context = RequestContext(request_id="r-1")
    return worker.begin(Kind.STREAM, {"generation": 1, "context": context})


async def state(worker):
    """How many items the model has made, and what has become of its generator."""
    return list((await worker.predict(1.0)).outputs[0].data)


def request(number):
    tensor = RequestInput(name="n", shape=[1], datatype="INT64", data=[number])
    return InferenceRequest(id="r-1", inputs=[tensor])


@pytest.mark.parametrize("implementation", ["models.Model", "models.Plain"])
async def test_stream_runs_no_further_than_it_is_asked_for(
    start_worker, folder_model, implementation
):
    worker = await start_worker()
    call = await begin_stream(worker, folder_model, implementation)
    assert (await state(worker))[0] == "0"
    assert worker._answers[call].empty()
    made = 0
    for number in (2, 1):
        worker.connection.send(Kind.NEXT, call, None)
        assert (await worker.next(call)).kind is Kind.WANT
        worker.connection.send(Kind.INPUT, call, request(number))
        for index in range(number):
            item = await worker.next(call)
            made += 1
            assert (item.kind, item.body.id) == (Kind.ITEM, "r-1")
            assert list(item.body.outputs[0].data) == [made]
            assert await state(worker) == [str(made), "open"]
            assert worker._answers[call].empty()
            if index + 1 < number:
                worker.connection.send(Kind.NEXT, call, None)
    worker.connection.send(Kind.NEXT, call, None)
    assert (await worker.next(call)).kind is Kind.WANT
    worker.connection.send(Kind.INPUT_END, call, None)
    assert (await worker.next(call)).kind is Kind.END


async def test_error_of_the_input_is_raised_where_the_model_reads(start_worker, folder_model):
    worker = await start_worker()
    call = await begin_stream(worker, folder_model, "models.Model")
    worker.connection.send(Kind.NEXT, call, None)
    assert (await worker.next(call)).kind is Kind.WANT
    worker.connection.send(Kind.INPUT_ERROR, call, InvalidRequest("tensor 'n': no"))
    ended = await worker.next(call)
    assert (ended.kind, str(ended.body)) == (Kind.ERROR, "tensor 'n': no")
    assert await state(worker) == ["0", "InvalidRequest"]


@pytest.mark.parametrize("implementation", ["models.Model", "models.Plain"])
async def test_stream_that_is_left_closes_the_models_generator(
    start_worker, folder_model, implementation
):
    worker = await start_worker()
    call = await begin_stream(worker, folder_model, implementation)
    worker.connection.send(Kind.NEXT, call, None)
    await worker.next(call)
    worker.connection.send(Kind.INPUT, call, request(5))
    assert (await worker.next(call)).kind is Kind.ITEM
    worker.connection.send(Kind.CANCEL, call, {"expired": False})
    ended = await worker.next(call)
    assert (ended.kind, ended.body.code) == (Kind.ERROR, ErrorCode.CANCELLED)
    assert await state(worker) == ["1", "GeneratorExit"]
