"""Adaptive batching in servers that run: over REST and gRPC, through reloads and unloads."""

from __future__ import annotations

import asyncio

import aiohttp
import grpclib.client
import grpclib.exceptions
import numpy as np
import pytest

import mlserver_core
from mlserver_core import MLModel, MLServer, ModelSettings, Settings
from mlserver_core.grpc.client import (
    GrpcInferenceServiceStub,
    InferTensorContents,
    ModelInferRequest,
    ModelInferRequestInferInputTensor,
)
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver_core.types.context import RequestContext

HOUR = 3600.0


class Model(MLModel):
    """Doubles each row and says whose it is; works on one call after the other, when let."""

    async def load(self):
        self.calls = []
        self.steps = asyncio.Semaphore(0)
        self.unloaded = False

    async def predict(self, payload):
        (tensor,) = payload.inputs
        rows = np.asarray(tensor.data.root).reshape(-1)
        whose = mlserver_core.batch_requests()
        self.calls.append([each.id for each in whose])
        await self.steps.acquire()
        if 13 in rows:
            raise ValueError("thirteen")
        names = [""] * len(rows)
        for each in whose:
            begin, end = each.rows
            names[begin:end] = [each.headers.get("x-user", "?")] * (end - begin)
        return InferenceResponse(
            outputs=[
                ResponseOutput(name="y", shape=tensor.shape, datatype="FP64", data=rows * 2),
                ResponseOutput(name="user", shape=[len(rows)], datatype="BYTES", data=names),
            ]
        )

    async def unload(self):
        self.unloaded = True


class Threaded(MLModel):
    """A plain ``predict``."""

    def predict(self, payload):
        whose = mlserver_core.batch_requests()
        names = [each.id for each in whose for _ in range(*each.rows)]
        output = ResponseOutput(name="id", shape=[len(names)], datatype="BYTES", data=names)
        return InferenceResponse(outputs=[output])


class Scalar(MLModel):
    """Answers requests without rows."""

    async def predict(self, payload):
        ids = [each.id for each in mlserver_core.batch_requests()]
        output = ResponseOutput(name="id", shape=[len(ids)], datatype="BYTES", data=ids)
        return InferenceResponse(outputs=[output])


def settings(implementation=Model, **changes):
    values = {"max_batch_size": 8, "max_batch_time": HOUR, **changes}
    return ModelSettings(name="m", implementation=implementation, **values)


def make_request(*values, id=None):
    tensor = {"name": "x", "shape": [len(values)], "datatype": "FP64", "data": list(values)}
    return InferenceRequest(id=id, inputs=[tensor])


def model_of(engine):
    return engine.models.table.find("m").serving.model


async def in_flight(engine, count):
    """Goes on when the model has that many requests, waiting or worked on."""
    serving = engine.models.table.find("m").serving
    while serving.in_flight.count != count:  # noqa: ASYNC110  # nothing else tells
        await asyncio.sleep(0)


def let_work(model, calls=100):
    for _ in range(calls):
        model.steps.release()


@pytest.fixture
async def server():
    """Serves a model over REST and gRPC, in this process."""
    servers = []

    async def serve(*models, **values):
        plugins = PluginManager()
        plugins.load(BUILTIN_PLUGINS, {})
        ports = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
        servers.append(MLServer(Settings(parallel_workers=0, **ports, **values), plugins=plugins))
        await servers[-1].startup(models)
        return servers[-1]

    yield serve
    for each in servers:
        await each.stop()


@pytest.fixture
async def grpc():
    """Makes typed clients."""
    channels = []

    def connect(server):
        channels.append(grpclib.client.Channel("127.0.0.1", server.transports["grpc"].port))
        return GrpcInferenceServiceStub(channels[-1])

    yield connect
    for channel in channels:
        channel.close()


def call(stub, *values, id, timeout=None):
    tensor = ModelInferRequestInferInputTensor(
        name="x",
        datatype="FP64",
        shape=[len(values)],
        contents=InferTensorContents(fp64_contents=list(values)),
    )
    request = ModelInferRequest(model_name="m", id=id, inputs=[tensor])
    work = stub.model_infer(request, timeout=timeout, metadata={"x-user": f"user of {id}"})
    return asyncio.ensure_future(work)


def read(response):
    """Id, values and users of an answer over gRPC."""
    return (
        response.id,
        list(np.frombuffer(response.raw_output_contents[0]))
        if response.raw_output_contents
        else list(response.outputs[0].contents.fp64_contents),
        b"".join(response.outputs[1].contents.bytes_contents).decode()
        or response.raw_output_contents[1].decode(errors="replace"),
    )


@pytest.mark.parametrize("stage", ["waiting", "worked on"])
async def test_of_four_grpc_calls_in_a_batch_one_with_a_deadline_fails_alone_r1_w17(
    server, grpc, stage
):
    running = await server(settings())
    engine, stub = running.engine, grpc(running)
    model = model_of(engine)
    first = call(stub, 0, id="first")
    await in_flight(engine, 1)
    calls = [call(stub, n, id=f"r-{n}") for n in (1, 2, 3)]
    await in_flight(engine, 4)
    late = call(stub, 4, id="late", timeout=1)
    await in_flight(engine, 5)
    if stage == "worked on":
        let_work(model, 1)
        await first
    with pytest.raises((grpclib.exceptions.GRPCError, asyncio.TimeoutError)) as raised:
        await late
    status = getattr(raised.value, "status", None)  # grpclib's client has a clock of its own
    assert status in (None, grpclib.const.Status.DEADLINE_EXCEEDED)
    await in_flight(engine, 4 if stage == "waiting" else 3)
    let_work(model)
    answers = [read(await each) for each in calls]
    assert [(id, values) for id, values, _ in answers] == [
        ("r-1", [2]),
        ("r-2", [4]),
        ("r-3", [6]),
    ]
    for id, _, user in answers:
        assert f"user of {id}" in user
    batch = ["r-1", "r-2", "r-3", *(["late"] if stage == "worked on" else [])]
    assert model.calls == [["first"], batch]


async def test_requests_over_rest_and_grpc_share_a_batch_and_no_headers_r3(server, grpc):
    running = await server(settings())
    engine, stub = running.engine, grpc(running)
    model = model_of(engine)
    url = f"http://127.0.0.1:{running.transports['rest'].port}/v2/models/m/infer"
    async with aiohttp.ClientSession() as session:

        async def post(*values, id):
            body = make_request(*values, id=id).model_dump()
            headers = {"x-user": f"user of {id}"}
            async with session.post(url, json=body, headers=headers) as answer:
                return answer.status, await answer.json()

        first = asyncio.ensure_future(post(0, id="first"))
        await in_flight(engine, 1)
        over_rest = asyncio.ensure_future(post(1, 2, id="rest"))
        await in_flight(engine, 2)
        over_grpc = call(stub, 3, id="grpc")
        await in_flight(engine, 3)
        let_work(model)
        await first
        status, plain = await over_rest
        assert (status, plain["id"]) == (200, "rest")
        assert [each["data"] for each in plain["outputs"]] == [[2, 4], ["user of rest"] * 2]
        id, values, user = read(await over_grpc)
        assert (id, values) == ("grpc", [6])
        assert "user of grpc" in user
    assert model.calls == [["first"], ["rest", "grpc"]]


async def test_a_bad_row_over_rest_is_an_error_of_its_own_request_r4_w20(server):
    running = await server(settings())
    engine = running.engine
    model = model_of(engine)
    url = f"http://127.0.0.1:{running.transports['rest'].port}/v2/models/m/infer"
    async with aiohttp.ClientSession() as session:

        async def post(value):
            body = make_request(value).model_dump()
            async with session.post(url, json=body) as answer:
                return answer.status, await answer.json()

        posts = [asyncio.ensure_future(post(value)) for value in (0, 1, 13, 3)]
        await in_flight(engine, 4)
        let_work(model)
        found = await asyncio.gather(*posts)
    assert [status for status, _ in found] == [200, 200, 500, 200]
    assert found[2][1] == {"error": "ValueError: thirteen"}
    assert found[3][1]["outputs"][0]["data"] == [6]


async def ask(engine, *values, id=None):
    return await engine.infer("m", None, make_request(*values, id=id), RequestContext())


async def together(engine, *ids):
    """Asks all at once; the requests that came to the model together."""
    return [
        list(response.outputs[0].data.root)
        for response in await asyncio.gather(*(ask(engine, 1, id=id) for id in ids))
    ]


async def test_batching_stays_on_after_a_reload_and_what_waits_is_answered_by_the_old_w37(
    server,
):
    running = await server(settings())
    engine = running.engine
    old = model_of(engine)
    asked = [asyncio.ensure_future(ask(engine, n, id=f"old-{n}")) for n in range(3)]
    await in_flight(engine, 3)
    await engine.load_model("m")
    new = model_of(engine)
    assert new is not old
    more = [asyncio.ensure_future(ask(engine, n, id=f"new-{n}")) for n in range(3)]
    await in_flight(engine, 3)
    assert not old.unloaded
    let_work(old)
    let_work(new)
    await asyncio.gather(*asked, *more)
    assert old.calls == [["old-0"], ["old-1", "old-2"]]
    assert new.calls == [["new-0"], ["new-1", "new-2"]]
    assert await engine.models._retirement.end(30) == []
    assert old.unloaded


async def test_an_unload_waits_for_what_waits_in_a_batch(server):
    running = await server(settings())
    engine = running.engine
    model = model_of(engine)
    asked = [asyncio.ensure_future(ask(engine, n, id=f"r-{n}")) for n in range(3)]
    await in_flight(engine, 3)
    unloading = asyncio.ensure_future(engine.unload_model("m"))
    let_work(model, 1)
    await asked[0]
    assert not model.unloaded
    let_work(model)
    await asyncio.gather(*asked, unloading)
    assert model.calls == [["r-0"], ["r-1", "r-2"]]
    assert model.unloaded


async def test_a_plain_predict_knows_whose_rows_it_has_and_a_lone_request_is_a_batch_of_one(start):
    engine = await start(settings(Threaded))
    assert await together(engine, "a", "b", "c") == [["a"], ["b"], ["c"]]


async def test_with_more_threads_a_model_is_idle_until_all_are_taken(start):
    engine = await start(settings(predict_threads=2))
    model = model_of(engine)
    asked = [asyncio.ensure_future(ask(engine, n, id=f"r-{n}")) for n in range(4)]
    await in_flight(engine, 4)
    let_work(model)
    await asyncio.gather(*asked)
    assert model.calls == [["r-0"], ["r-1"], ["r-2", "r-3"]]


async def test_outside_of_a_request_and_without_rows_there_is_no_batch(start):
    assert mlserver_core.batch_requests() == ()
    engine = await start(settings(Scalar))
    response = await engine.infer("m", None, InferenceRequest(inputs=[]), RequestContext())
    assert response.outputs[0].shape == [0]


async def test_a_model_without_batching_has_the_same_view_of_its_request(start):
    engine = await start(ModelSettings(name="m", implementation=Threaded))
    response = await ask(engine, 1, 2, id="only")
    assert list(response.outputs[0].data.root) == ["only", "only"]


async def test_batches_are_counted_by_requests_that_wait_and_by_rows(start, scrape):
    engine = await start(settings())
    model = model_of(engine)
    labels = {"model_name": "m", "model_version": ""}
    assert scrape(engine).value("batch_request_queue_count", **labels) is None
    asked = [asyncio.ensure_future(ask(engine, 1, 2)) for _ in range(3)]
    await in_flight(engine, 3)
    let_work(model)
    await asyncio.gather(*asked)
    found = scrape(engine)
    assert found.value("batch_request_queue_count", **labels) == 2
    assert found.value("batch_request_queue_sum", **labels) == 1 + 2
    assert found.value("batch_request_rows_sum", **labels) == 2 + 4
    engine.metrics.forget("m", None)
    assert scrape(engine).value("batch_request_queue_count", **labels) is None


@pytest.mark.parametrize("lacking", ["max_batch_size", "max_batch_time"])
async def test_half_of_the_settings_warn_at_load_w42(start, caplog, lacking):
    await start(settings(Threaded, **{lacking: 0}))
    assert f"adaptive batching needs {lacking}" in caplog.text
