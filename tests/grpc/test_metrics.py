"""What is counted of gRPC."""

from __future__ import annotations

import asyncio

import grpclib.client
import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from mlserver_core import MLModel, MLServer, ModelSettings, Settings
from mlserver_core.grpc._generated import dataplane
from mlserver_core.grpc.client import (
    GrpcInferenceServiceStub,
    InferTensorContents,
    ModelInferRequest,
    ModelInferRequestInferInputTensor,
)
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.types import InferenceResponse

SERVICE = "inference.GRPCInferenceService"


class Model(MLModel):
    """Answers, refuses BYTES, waits for ever for an FP64."""

    asked: asyncio.Event

    async def predict(self, payload):
        datatype = payload.inputs[0].datatype
        if datatype == "BYTES":
            raise ValueError("no text")
        if datatype == "FP64":
            self.asked.set()
            await asyncio.Event().wait()
        return InferenceResponse(outputs=[])


@pytest.fixture
async def server():
    """A server with the model ``m``."""
    Model.asked = asyncio.Event()
    plugins = PluginManager()
    plugins.load(BUILTIN_PLUGINS, {})
    ports = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    made = MLServer(Settings(**ports), plugins=plugins)
    await made.startup([ModelSettings(name="m", implementation=Model)])
    yield made
    await made.stop()


@pytest.fixture
async def stub(server):
    async with grpclib.client.Channel("127.0.0.1", server.transports["grpc"].port) as channel:
        yield GrpcInferenceServiceStub(channel)


def request(model="m", **contents):
    given = contents or {"int_contents": [1]}
    datatype = {"int_contents": "INT32", "bytes_contents": "BYTES", "fp64_contents": "FP64"}
    tensor = ModelInferRequestInferInputTensor(
        name="x",
        shape=[1],
        datatype=datatype[next(iter(given))],
        contents=InferTensorContents(**given),
    )
    return ModelInferRequest(model_name=model, inputs=[tensor])


def counter(scraped, name, method="ModelInfer", kind="UNARY", service=SERVICE, **more):
    labels = {"grpc_type": kind, "grpc_service": service, "grpc_method": method, **more}
    return scraped.value(f"grpc_server_{name}", **labels)


async def test_calls_are_counted_with_their_messages_and_seconds(server, stub, scrape):
    await stub.model_infer(request())
    await stub.model_infer(request())
    await stub.model_ready(dataplane.ModelReadyRequest(name="m"))
    scraped = scrape(server.engine)
    for name in ("started_total", "msg_received_total", "msg_sent_total", "handling_seconds_count"):
        assert counter(scraped, name) == 2, name
        assert counter(scraped, name, "ModelReady") == 1, name
        assert counter(scraped, name, "ModelMetadata") == 0, name
    assert counter(scraped, "handled_total", grpc_code="OK") == 2
    assert 0 < counter(scraped, "handling_seconds_sum") < 60


async def test_failed_calls_are_counted_with_their_code(server, stub, scrape):
    codes = []
    for sent in (request("nobody"), request(bytes_contents=[b"x"]), request(int_contents=[1, 2])):
        with pytest.raises(GRPCError) as failed:
            await stub.model_infer(sent)
        codes.append(failed.value.status)
    assert codes == [Status.NOT_FOUND, Status.INTERNAL, Status.INVALID_ARGUMENT]
    scraped = scrape(server.engine)
    for code in codes:
        assert counter(scraped, "handled_total", grpc_code=code.name) == 1, code
    assert counter(scraped, "started_total") == counter(scraped, "handling_seconds_count") == 3
    assert counter(scraped, "msg_received_total") == 3
    assert counter(scraped, "msg_sent_total") == 0


def test_a_call_that_is_too_late_is_counted_as_that(shared_server, connect):
    def expired():
        return counter(shared_server.scrape(), "handled_total", grpc_code="DEADLINE_EXCEEDED") or 0

    before = expired()
    client = connect(shared_server)
    stream = client.open(grpc_timeout="200m")  # and no message follows
    assert client.trailers(stream)["grpc-status"] == "4"
    assert expired() == before + 1


async def test_a_call_that_is_cancelled_is_counted_as_that(server, stub, scrape):
    asking = asyncio.ensure_future(stub.model_infer(request(fp64_contents=[1.0])))
    await Model.asked.wait()
    asking.cancel()
    assert await server.engine.in_flight.drained(30)
    await server.stop()
    scraped = scrape(server.engine)
    assert counter(scraped, "handled_total", grpc_code="CANCELLED") == 1
    assert counter(scraped, "handling_seconds_count") == 1


async def test_messages_of_a_stream_are_counted_one_by_one(server, stub, scrape):
    async def source():
        for _ in range(3):
            yield request()

    seen = []
    async for _ in stub.model_stream_infer(source()):
        where = {"method": "ModelStreamInfer", "kind": "BIDI_STREAMING"}
        seen.append(counter(scrape(server.engine), "msg_sent_total", **where))
    scraped = scrape(server.engine)
    assert seen == sorted(seen)
    assert seen[-1] == 3
    assert counter(scraped, "msg_received_total", **where) == 3
    assert counter(scraped, "started_total", **where) == 1
    assert counter(scraped, "handled_total", **where, grpc_code="OK") == 1


async def test_unknown_models_and_methods_make_no_series_w74(server, stub, scrape):
    with pytest.raises(GRPCError):
        await stub.model_infer(request("nobody"))
    before = scrape(server.engine)
    for number in range(3):
        with pytest.raises(GRPCError):
            await stub.model_infer(request(f"nobody-{number}"))
        with pytest.raises(GRPCError):
            await stub._unary_unary(
                f"/{SERVICE}/Nothing{number}", dataplane.ServerLiveRequest(), ModelInferRequest
            )
    after = scrape(server.engine)
    assert "nobody" not in after.text
    assert "Nothing" not in after.text
    for name in ("grpc_server_handled_total", "model_infer_request_failure_total"):
        assert after.series(name) == before.series(name)


async def test_probes_are_not_counted(server, stub, scrape):
    await stub.server_live(dataplane.ServerLiveRequest())
    await stub.server_ready(dataplane.ServerReadyRequest())
    series = scrape(server.engine).series("grpc_server_started_total")
    assert {each["grpc_service"] for each in series} >= {SERVICE}
    assert not [each for each in series if each["grpc_service"] == "grpc.health.v1.Health"]
    assert not [each for each in series if each["grpc_method"] in ("ServerLive", "ServerReady")]
