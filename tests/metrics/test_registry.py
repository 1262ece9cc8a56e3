"""What is counted of inference requests, whichever transport brings them."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from mlserver_core import MLModel, MLServer, ModelSettings, Settings
from mlserver_core.errors import InvalidRequest, MLServerError, ModelNotFound, ModelNotReady
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.repositories.interfaces import Listing
from mlserver_core.types import InferenceRequest, InferenceResponse, RequestInput
from mlserver_core.types.context import RequestContext

SUCCESS = "model_infer_request_success_total"
FAILURE = "model_infer_request_failure_total"
SECONDS = "model_infer_request_duration_sum"
COUNT = "model_infer_request_duration_count"


class Answering(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])


class Failing(MLModel):
    async def predict(self, payload):
        raise ValueError("no")


class Waiting(MLModel):
    asked: asyncio.Event

    async def predict(self, payload):
        self.asked.set()
        await asyncio.Event().wait()


class Streaming(MLModel):
    async def predict_stream(self, payloads):
        async for _ in payloads:
            yield InferenceResponse(outputs=[])
            yield InferenceResponse(outputs=[])


def settings(implementation=Answering, version=None, **fields):
    parameters = {"version": version}
    return ModelSettings(
        **{"name": "m", "implementation": implementation, "parameters": parameters, **fields}
    )


def counts(scraped, model="m", version=""):
    """Successes, failures and durations of a model."""
    return [scraped.value(name, model=model, version=version) for name in (SUCCESS, FAILURE, COUNT)]


async def source(*requests):
    for request in requests:
        yield request


def request():
    tensor = RequestInput(name="x", shape=[1], datatype="INT64", data=[1])
    return InferenceRequest(inputs=[tensor])


def stream(engine, *requests):
    return engine.infer_stream("m", None, source(*requests), RequestContext())


async def test_requests_are_counted_as_successes_and_failures_with_their_seconds(
    start, ask, scrape
):
    engine = await start(settings(), settings(Failing, name="f"))
    assert counts(scrape(engine)) == counts(scrape(engine), "f") == [0, 0, 0]
    await ask(engine)
    await ask(engine)
    with pytest.raises(MLServerError):
        await ask(engine, "f")
    assert counts(scrape(engine)) == [2, 0, 2]
    assert counts(scrape(engine), "f") == [0, 1, 1]
    assert 0 < scrape(engine).value(SECONDS, model="f", version="") < 60


async def test_the_version_is_the_one_that_served(start, ask, scrape):
    engine = await start(settings(version="v1"), settings(version="v2"))
    await ask(engine)
    await ask(engine, version="v1")
    await ask(engine, version="v1")
    assert counts(scrape(engine), version="v1") == [2, 0, 2]
    assert counts(scrape(engine), version="v2") == [1, 0, 1]
    assert scrape(engine).series(SUCCESS) == [
        {"model": "m", "version": "v1"},
        {"model": "m", "version": "v2"},
    ]


async def test_a_request_that_is_refused_counts_as_a_failure_of_its_model(start, scrape):
    engine = await start(settings())
    wrong = RequestInput(name="x", shape=[2], datatype="INT64", data=[1])
    with pytest.raises(InvalidRequest):
        await engine.infer("m", None, InferenceRequest(inputs=[wrong]), RequestContext())
    with pytest.raises(InvalidRequest):
        await anext(stream(engine))
    engine.models.table.find("m").serving.model.ready = False
    with pytest.raises(ModelNotReady):
        await engine.infer("m", None, request(), RequestContext())
    assert counts(scrape(engine)) == [0, 3, 3]


async def test_unknown_models_and_versions_make_no_series_w74(start, ask, scrape):
    engine = await start(settings())
    before = scrape(engine).series(COUNT)
    for name, version in (("nobody", None), ("m", "v9"), ("nobody-else", "v1")):
        with pytest.raises(ModelNotFound):
            await ask(engine, name, version)
        with pytest.raises(ModelNotFound):
            await anext(engine.infer_stream(name, version, source(request()), RequestContext()))
    assert scrape(engine).series(COUNT) == before == [{"model": "m", "version": ""}]


async def test_a_cancelled_request_counts_as_a_failure(start, ask, scrape):
    Waiting.asked = asyncio.Event()
    engine = await start(settings(Waiting))
    asking = asyncio.ensure_future(ask(engine))
    await Waiting.asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert counts(scrape(engine)) == [0, 1, 1]


async def test_a_stream_counts_once(start, scrape):
    engine = await start(settings(Streaming))
    assert len([each async for each in stream(engine, request(), request())]) == 4
    assert counts(scrape(engine)) == [1, 0, 1]


async def test_a_stream_that_is_left_before_its_end_counts_as_a_failure(start, scrape):
    engine = await start(settings(Streaming))
    responses = stream(engine, request())
    await anext(responses)
    await responses.aclose()
    assert counts(scrape(engine)) == [0, 1, 1]


class Repository:
    def __init__(self, *models):
        self.models = models

    async def list(self):
        return Listing(self.models)

    async def find(self, name):
        return Listing(self.models).of(name)


async def test_a_model_that_is_loaded_anew_goes_on_with_its_counts(start, ask, scrape):
    engine = await start(settings())
    engine.models.repository = Repository(settings())
    await ask(engine)
    await engine.load_model("m")
    await ask(engine)
    assert counts(scrape(engine)) == [2, 0, 2]


async def test_a_model_that_is_unloaded_leaves_no_series(start, ask, scrape):
    class Logging(Answering):
        async def predict(self, payload):
            from mlserver_core import log

            log(rows=1)
            return await super().predict(payload)

    engine = await start(settings(Logging), settings(Logging, name="stays"))
    await ask(engine)
    await ask(engine, "stays")
    await engine.unload_model("m")
    assert scrape(engine).series(COUNT) == [{"model": "stays", "version": ""}]
    assert scrape(engine).series("rows_count") == [{"model_name": "stays", "model_version": ""}]


async def test_two_servers_in_one_process_count_for_themselves(start, ask, scrape):
    import prometheus_client

    before = prometheus_client.generate_latest().decode()
    first, second = await start(settings()), await start(settings())
    await ask(first)
    assert counts(scrape(first)) == [1, 0, 1]
    assert counts(scrape(second)) == [0, 0, 0]
    assert "model_infer" not in before + prometheus_client.generate_latest().decode()


def test_a_server_counts_nothing_of_another_one_that_runs_or_has_crashed_w51(
    serve, model_folder, tmp_path, monkeypatch
):
    folder = model_folder("models/m", implementation="echo").parent
    shared = tmp_path / "shared"
    (shared / ".metrics").mkdir(parents=True)
    monkeypatch.chdir(shared)  # all of them run here
    environ = {
        "PROMETHEUS_MULTIPROC_DIR": str(shared / ".metrics"),
        "MLSERVER_METRICS_DIR": str(shared / ".metrics"),
    }

    def infer(server):
        tensor = {"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}
        request = urllib.request.Request(
            f"{server.url}/v2/models/m/infer",
            json.dumps({"inputs": [tensor]}).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=30).close()

    crashed, running = serve(folder, **environ), serve(folder, **environ)
    infer(crashed)
    infer(running)
    infer(running)
    assert counts(crashed.scrape()) == [1, 0, 1]
    assert counts(running.scrape()) == [2, 0, 2]
    crashed.process.kill()
    assert crashed.wait() == -signal.SIGKILL
    successor = serve(folder, **environ)
    assert counts(successor.scrape()) == [0, 0, 0]
    assert counts(running.scrape()) == [2, 0, 2]
    warning = "PROMETHEUS_MULTIPROC_DIR is ignored: each server counts for itself"
    assert any(warning in line for line in successor.lines)
    assert (running.stop(), successor.stop()) == (0, 0)
    left = {each.name for each in shared.rglob("*") if not each.name.startswith(".coverage")}
    assert left == {".metrics"}


async def test_the_process_is_measured_too(start, scrape):
    scraped = scrape(await start())
    assert scraped.series("python_info")
    assert scraped.series("python_gc_collections_total")
    if sys.platform == "linux":
        assert scraped.value("process_resident_memory_bytes") > 0


@pytest.mark.parametrize("endpoint", [None, ""])
async def test_a_server_without_an_endpoint_counts_nothing_and_does_not_listen(endpoint):
    plugins = PluginManager()
    plugins.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": ""})
    ports = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    values = {"metrics_endpoint": endpoint, "load_models_at_startup": False, **ports}
    server = MLServer(Settings(**values), plugins=plugins)
    await server.startup([settings()])
    try:
        assert server.engine.metrics is None
        assert list(server.transports) == ["rest", "grpc"]
        answer = await server.engine.infer("m", None, request(), RequestContext())
        assert answer.model_name == "m"
    finally:
        await server.stop()


def test_a_server_module_that_is_imported_does_not_import_prometheus():
    code = "import sys, mlserver_core.server; print('prometheus_client' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"


async def test_queue_of_a_worker_is_a_histogram_without_labels(start, scrape):
    engine = await start(settings())
    metrics = engine.metrics.of_model("m", None)
    for outstanding in (0, 3, 5000):
        metrics.observe_outstanding(outstanding)
    assert scrape(engine).value("parallel_request_queue_count") == 3
    assert scrape(engine).value("parallel_request_queue_sum") == 5003
    assert scrape(engine).value("parallel_request_queue_bucket", le="4.0") == 2


async def test_taken_names_are_those_that_no_custom_metric_can_have(start):
    engine = await start(settings())
    metrics = engine.metrics.of_model("m", None)
    metrics.register("mine", "Of a model.")
    taken = metrics.taken()
    candidates = {"mine", "free", "python", *taken}
    for name in candidates:
        if name in taken:
            with pytest.raises(ValueError, match="the server has a metric of that name already"):
                metrics.register(name, "Of another.")
        else:
            metrics.register(name, "Of another.")
    assert {"mine_sum", "python_info", SUCCESS, COUNT, "model_infer_request_duration"} <= taken
    assert not {"mine", "free", "python"} & taken
