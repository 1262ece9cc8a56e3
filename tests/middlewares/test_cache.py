"""The response cache: what it answers, what it never answers, and what it keeps."""

from __future__ import annotations

import asyncio
import json
import math
import urllib.request

import grpc
import numpy as np
import pytest

from mlserver_core import MLModel, ModelSettings, Settings, hookimpl
from mlserver_core.errors import MLServerError
from mlserver_core.grpc.messages import load_messages
from mlserver_core.hooks.registry import OrderedRegistry
from mlserver_core.middlewares.cache import mlserver_register_middlewares
from mlserver_core.types import InferenceRequest, InferenceResponse, RequestInput, ResponseOutput
from mlserver_core.types.context import RequestContext

HITS, MISSES = "response_cache_hits_total", "response_cache_misses_total"
ENTRIES, BYTES = "response_cache_entries", "response_cache_bytes"
ON = {"cache_enabled": True}


class Counting(MLModel):
    """Answers with how often it was asked, and with what."""

    calls = 0

    async def predict(self, payload):
        self.calls += 1
        outputs = [
            ResponseOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
            for each in payload.inputs
        ]
        count = ResponseOutput(name="calls", shape=[1], datatype="INT64", data=[self.calls])
        return InferenceResponse(outputs=[count, *outputs])


def model(implementation=Counting, version=None, **fields):
    values = {"name": "m", "implementation": implementation, "parameters": {"version": version}}
    return ModelSettings(**{**values, "cache_enabled": True, **fields})


def calls(answer):
    """How often the model had been asked when it gave this answer."""
    return answer.outputs[0].data[0]


async def infer(engine, *, name="m", version=None, headers=None, id=None, **fields):
    """Asks with one tensor, of which fields may say otherwise."""
    parts = {key: fields.pop(key) for key in ("parameters", "outputs") if key in fields}
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0], **fields}
    request = InferenceRequest.model_validate({"id": id, "inputs": [tensor], **parts})
    return await engine.infer(name, version, request, RequestContext(headers=headers or {}))


async def test_who_asks_the_same_again_gets_the_same_answer_and_the_model_is_not_asked(start):
    engine = await start(model(), **ON)
    first, second = [await infer(engine, id=id) for id in ("1", "2")]
    assert (calls(first), calls(second)) == (1, 1)
    assert (first.id, second.id) == ("1", "2")
    assert second.model_name == "m"
    assert second.outputs[1].data == [1.0]


async def test_an_answer_from_the_cache_has_cloud_events_of_its_own(start):
    engine = await start(model(), **ON)
    for id in ("1", "2", "3"):
        answer = await infer(engine, id=id)
        assert calls(answer) == 1
        assert answer.parameters.headers["Ce-Id"] == answer.parameters.headers["Ce-Requestid"] == id


@pytest.mark.parametrize(("server", "own"), [(False, True), (True, False), (False, False)])
async def test_it_is_off_unless_the_server_and_the_model_want_it(start, server, own):
    engine = await start(model(cache_enabled=own), cache_enabled=server)
    assert [calls(await infer(engine)) for _ in range(2)] == [1, 2]


def test_nothing_stands_in_the_way_of_a_model_that_is_not_cached_w67():
    async def answer(request, context):
        """What the model is."""

    for server, own in ((False, True), (True, False)):
        registry = OrderedRegistry("middleware")
        mlserver_register_middlewares(registry, Settings(cache_enabled=server), None)
        for make in registry.in_order():
            assert make(model(cache_enabled=own))(answer) is answer


async def test_two_models_never_share_an_answer_r2_w1(start):
    engine = await start(model(name="fraud"), model(name="churn"), **ON)
    await infer(engine, name="fraud")
    await infer(engine, name="fraud", data=[2.0])
    churn = await infer(engine, name="churn")
    assert (churn.model_name, calls(churn)) == ("churn", 1)
    assert calls(await infer(engine, name="fraud")) == 1
    assert calls(await infer(engine, name="churn", data=[2.0])) == 2


async def test_two_versions_never_share_an_answer(start):
    engine = await start(model(version="v1"), model(version="v2"), model(), **ON)
    for version in ("v1", "v2", None):
        answer = await infer(engine, version=version)
        assert (answer.model_version, calls(answer)) == (version, 1)
        assert (await infer(engine, version=version)).model_version == version


async def test_two_servers_in_one_process_never_share_an_answer(start, scrape):
    one, other = await start(model(), **ON), await start(model(), **ON)
    await infer(one)
    await infer(one)
    assert scrape(other).value(ENTRIES, model_name="m", model_version="") == 0
    assert calls(await infer(other)) == 1
    labels = {"model_name": "m", "model_version": ""}
    counts = [
        (scrape(each).value(HITS, **labels), scrape(each).value(MISSES, **labels))
        for each in (one, other)
    ]
    assert counts == [(1, 1), (0, 1)]


async def test_a_reload_never_gives_an_old_answer_and_lets_go_of_them_at_once(start, scrape):
    class Slow(Counting):
        going, go = asyncio.Event(), asyncio.Event()

        async def predict(self, payload):
            if payload.inputs[0].data[0] == 2.0:
                self.going.set()
                await self.go.wait()
            return await super().predict(payload)

    engine = await start(model(Slow), **ON)
    labels = {"model_name": "m", "model_version": ""}
    assert [calls(await infer(engine)) for _ in range(2)] == [1, 1]
    assert scrape(engine).value(ENTRIES, **labels) == 1
    late = asyncio.ensure_future(infer(engine, data=[2.0]))
    await Slow.going.wait()
    await engine.load_model("m")
    assert scrape(engine).value(ENTRIES, **labels) == 0  # while the old one is still at work
    assert scrape(engine).value(BYTES, **labels) == 0
    Slow.go.set()
    assert calls(await late) == 2
    assert scrape(engine).value(ENTRIES, **labels) == 0
    assert calls(await infer(engine)) == 1
    assert calls(await infer(engine, data=[2.0])) == 2
    assert scrape(engine).value(ENTRIES, **labels) == 2


async def test_a_reload_that_fails_leaves_the_answers_of_what_serves_on(start):
    class Moody(Counting):
        loads = 0

        async def load(self):
            Moody.loads += 1
            return Moody.loads == 1

    engine = await start(model(Moody), **ON)
    await infer(engine)
    with pytest.raises(MLServerError):
        await engine.load_model("m")
    assert calls(await infer(engine)) == 1


async def test_a_model_that_is_unloaded_leaves_nothing_behind(start, scrape):
    engine = await start(model(), model(name="other"), **ON)
    await infer(engine)
    await infer(engine, name="other")
    await engine.unload_model("m")
    for name in (HITS, MISSES, ENTRIES, BYTES):
        assert scrape(engine).series(name) == [{"model_name": "other", "model_version": ""}]
    await engine.load_model("m")
    assert scrape(engine).value(ENTRIES, model_name="m", model_version="") == 0
    assert calls(await infer(engine)) == 1
    assert scrape(engine).value(MISSES, model_name="m", model_version="") == 1


async def test_headers_separate_users_and_those_of_tracing_do_not(start):
    engine = await start(model(), **ON)
    a, b = {"authorization": "Bearer a"}, {"authorization": "Bearer b"}
    assert [calls(await infer(engine, headers=each)) for each in (a, b, a, {})] == [1, 2, 1, 3]
    traced = a | {"traceparent": "00-1-2-01", "x-request-id": "7", "user-agent": "curl"}
    assert calls(await infer(engine, headers=traced)) == 1


async def test_the_operator_says_which_headers_make_no_difference(start):
    engine = await start(model(), **ON, cache_ignore_headers=["X-Region", "x-shard-*"])
    headers = ({}, {"x-region": "a"}, {"x-shard-1": "b"}, {"traceparent": "1"})
    assert [calls(await infer(engine, headers=each)) for each in headers] == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"outputs": [{"name": "x"}]}),
        ({"outputs": [{"name": "x"}]}, {"outputs": [{"name": "calls"}]}),
        ({}, {"parameters": {"p": 1}}),
        ({"parameters": {"p": 1}}, {"parameters": {"p": 1.0}}),
        ({"parameters": {"p": 1}}, {"parameters": {"p": True}}),
        ({}, {"name": "m", "shape": [1, 1]}),
        ({"data": [0.0]}, {"data": [-0.0]}),
        ({"data": [math.nan]}, {"data": [0.0]}),
        ({"datatype": "INT64", "data": [1]}, {"datatype": "FP64", "data": [1.0]}),
        ({"datatype": "INT32", "data": [0]}, {"datatype": "FP32", "data": [0.0]}),
        ({"datatype": "BYTES", "data": ["1"]}, {"datatype": "BYTES", "data": [b"1"]}),
    ],
)
async def test_requests_that_differ_do_not_share_an_answer(start, one, other):
    engine = await start(model(), **ON)
    assert [calls(await infer(engine, **each)) for each in (one, other, one, other)] == [1, 2, 1, 2]


async def test_nan_is_found_again_and_comes_back(start):
    engine = await start(model(), **ON)
    for _ in range(2):
        answer = await infer(engine, data=[math.nan])
        assert calls(answer) == 1
        assert math.isnan(answer.outputs[1].data[0])


async def test_what_has_not_been_used_for_longest_makes_room(start, scrape):
    engine = await start(model(), **ON, cache_size=2)
    asked = [1.0, 2.0, 1.0, 3.0]  # 2.0 is the one used least recently when 3.0 comes
    assert [calls(await infer(engine, data=[each])) for each in asked] == [1, 2, 1, 3]
    assert scrape(engine).value(ENTRIES, model_name="m", model_version="") == 2
    assert [calls(await infer(engine, data=[each])) for each in (1.0, 3.0, 2.0)] == [1, 3, 4]
    assert calls(await infer(engine, data=[1.0])) == 5


async def test_bytes_are_bounded_over_all_models(start, scrape):
    engine = await start(model(), model(name="other"), **ON, cache_max_bytes=25_000)
    big = {"shape": [1000], "data": [1.0] * 1000}
    await infer(engine, **big)
    await infer(engine, name="other", **big)
    kept = [
        scrape(engine).value(BYTES, model_name=name, model_version="") for name in ("m", "other")
    ]
    assert 8000 < kept[0] == kept[1] < 12_500
    await infer(engine, name="other", **big | {"datatype": "FP32"})
    await infer(engine, name="other", **big | {"datatype": "INT64"})
    assert scrape(engine).value(BYTES, model_name="m", model_version="") == 0
    assert (
        sum(
            scrape(engine).value(BYTES, model_name=each, model_version="")
            for each in ("m", "other")
        )
        <= 25_000
    )
    assert calls(await infer(engine, **big)) == 2


async def test_an_answer_that_is_larger_than_the_bound_is_not_kept_and_nothing_leaves_for_it(start):
    engine = await start(model(), **ON, cache_max_bytes=10_000)
    await infer(engine)
    big = {"datatype": "BYTES", "shape": [1], "data": ["a" * 10_000]}
    assert [calls(await infer(engine, **big)) for _ in range(2)] == [2, 3]
    assert calls(await infer(engine)) == 1


async def test_a_cache_of_no_size_keeps_nothing(start):
    for bound in ("cache_size", "cache_max_bytes"):
        engine = await start(model(), **ON, **{bound: 0})
        assert [calls(await infer(engine)) for _ in range(2)] == [1, 2]


async def test_an_error_is_not_kept(start):
    class Recovering(Counting):
        async def predict(self, payload):
            answer = await super().predict(payload)
            if self.calls == 1:
                raise ValueError("not yet")
            return answer

    engine = await start(model(Recovering), **ON)
    with pytest.raises(MLServerError, match="not yet"):
        await infer(engine)
    assert [calls(await infer(engine)) for _ in range(2)] == [2, 2]


async def test_an_answer_that_does_not_fit_is_not_kept(start):
    class Wrong(Counting):
        async def predict(self, payload):
            answer = await super().predict(payload)
            answer.outputs[0].shape = [3]
            return answer

    engine = await start(model(Wrong), **ON)
    for _ in range(2):
        with pytest.raises(MLServerError, match="expects 3 elements"):
            await infer(engine)


async def test_a_runtime_that_reuses_its_memory_changes_no_answer_that_is_kept(start):
    class Reusing(MLModel):
        buffer = np.zeros(1)

        async def predict(self, payload):
            self.buffer += 1
            output = ResponseOutput(name="calls", shape=[1], datatype="FP64", data=self.buffer)
            return InferenceResponse(outputs=[output], parameters={"headers": {"a": "b"}})

    engine = await start(model(Reusing), **ON)
    assert calls(await infer(engine)) == 1
    assert calls(await infer(engine, data=[2.0])) == 2
    answer = await infer(engine)
    assert calls(answer) == 1
    with pytest.raises(ValueError, match="read-only"):
        answer.outputs[0].data.root[0] = 7
    answer.parameters.headers.clear()
    answer.outputs.clear()
    again = await infer(engine)
    assert (calls(again), again.parameters.headers["a"]) == (1, "b")


async def test_same_requests_at_the_same_time_are_each_answered(start, scrape):
    class Waiting(Counting):
        going = asyncio.Event()

        async def predict(self, payload):
            answer = await super().predict(payload)
            if self.calls == 2:
                self.going.set()
            await self.going.wait()
            return answer

    engine = await start(model(Waiting), **ON)
    both = await asyncio.gather(infer(engine, id="1"), infer(engine, id="2"))
    assert [each.id for each in both] == ["1", "2"]
    assert calls(await infer(engine)) in (1, 2)
    labels = {"model_name": "m", "model_version": ""}
    assert [scrape(engine).value(name, **labels) for name in (HITS, MISSES, ENTRIES)] == [1, 2, 1]


async def test_a_request_that_has_no_key_goes_to_the_model(start):
    engine = await start(model(), **ON)
    for expected in (1, 2):
        tensor = RequestInput(name="x", shape=[1], datatype="FP64", data=[1.0])
        request = InferenceRequest(inputs=[tensor], parameters={"p": object()})
        answer = await engine.infer("m", None, request, RequestContext())
        assert calls(answer) == expected


async def test_streams_of_a_model_pass_the_cache_by(start):
    class Streaming(Counting):
        async def predict_stream(self, payloads):
            async for payload in payloads:
                yield await self.predict(payload)

    async def requests():
        tensor = RequestInput(name="x", shape=[1], datatype="FP64", data=[1.0])
        yield InferenceRequest(inputs=[tensor])

    engine = await start(model(Streaming), **ON)
    assert calls(await infer(engine)) == 1
    for expected in (2, 3):
        stream = engine.infer_stream("m", None, requests(), RequestContext())
        assert [calls(answer) async for answer in stream] == [expected]


async def test_a_server_without_metrics_caches_too(start):
    engine = await start(model(), **ON, metrics_endpoint="")
    assert [calls(await infer(engine)) for _ in range(2)] == [1, 1]


async def test_a_middleware_that_fails_to_close_is_logged_and_the_model_leaves(start, caplog):
    class Broken:
        def __call__(self, infer):
            return infer

        def close(self):
            raise ValueError("stuck")

    class Plugin:
        @hookimpl
        def mlserver_register_middlewares(self, registry):
            registry.add("broken", lambda model: Broken())

    engine = await start(model(), plugin=Plugin(), **ON)
    await infer(engine)
    await engine.load_model("m")
    assert calls(await infer(engine)) == 1
    [record] = [each for each in caplog.records if "failed to close" in each.getMessage()]
    assert "'m'" in record.getMessage()
    assert record.exc_info[1].args == ("stuck",)


CODE = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput

class Counting(MLModel):
    calls = 0

    def predict(self, payload):
        self.calls += 1
        [tensor] = payload.inputs
        output = ResponseOutput(name="y", shape=[1], datatype="FP64", data=tensor.data.root * 2)
        return InferenceResponse(outputs=[output], parameters={"calls": self.calls})
"""


def post(server, name, id, user, value):
    """Asks over REST."""
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [value]}
    body = json.dumps({"id": id, "inputs": [tensor]}).encode()
    headers = {"Content-Type": "application/json", "X-User": user, "X-Request-Id": id}
    url = f"{server.url}/v2/models/{name}/infer"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        found = json.load(answer)
        assert answer.headers["Ce-Id"] == answer.headers["X-Request-Id"] == found["id"] == id
    assert (found["model_name"], found["outputs"][0]["data"]) == (name, [value * 2])
    return found["parameters"]["calls"]


def call(server, name, id, user, value):
    """Asks over gRPC."""
    messages = load_messages()
    method = "/inference.GRPCInferenceService/ModelInfer"
    reply_type = messages.get("inference.ModelInferResponse")
    request = messages.get("inference.ModelInferRequest")(
        model_name=name,
        id=id,
        inputs=[
            {"name": "x", "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [value]}}
        ],
    )
    with grpc.insecure_channel(server.grpc_address) as channel:
        infer = channel.unary_unary(
            method, lambda each: each.SerializeToString(), reply_type.FromString
        )
        reply, done = infer.with_call(request, metadata=[("x-user", user)], timeout=30)
    assert dict(done.trailing_metadata())["ce-id"] == reply.id == id
    assert (reply.model_name, reply.outputs[0].contents.fp64_contents) == (name, [value * 2])
    return reply.parameters["calls"].int64_param


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_started_server_answers_from_its_cache_over_rest_and_grpc(serve, model_folder, workers):
    for name in ("one", "two"):
        folder = model_folder(name, CODE, implementation="models.Counting", cache_enabled=True)
    environ = {"MLSERVER_CACHE_ENABLED": "true", "MLSERVER_PARALLEL_WORKERS": workers}
    server = serve(folder.parent, **environ)
    for ask in (post, call):
        assert [ask(server, "one", id, "ann", 1.5) for id in ("a", "b")] == [1, 1]
    assert call(server, "two", "c", "ann", 1.5) == post(server, "two", "d", "ann", 1.5) == 1
    assert call(server, "one", "e", "bob", 1.5) == post(server, "one", "f", "bob", 1.5) == 2
    assert post(server, "one", "g", "ann", 2.5) == 3
    labels = {"model_name": "one", "model_version": ""}
    scraped = server.scrape()
    assert [scraped.value(name, **labels) for name in (HITS, MISSES, ENTRIES)] == [4, 3, 3]
    assert scraped.value("model_infer_request_success_total", model="one", version="") == 7
    reload = urllib.request.Request(f"{server.url}/v2/repository/models/one/load", b"{}")
    urllib.request.urlopen(reload, timeout=30).close()
    assert [ask(server, "one", "h", "ann", 1.5) for ask in (call, post)] == [1, 1]
    assert server.stop() == 0
