"""Metrics of models' own: mlserver_core.register and mlserver_core.log."""

from __future__ import annotations

import contextvars
import json
import sys
import threading
import urllib.request

import numpy as np
import pytest

import mlserver_core
import mlserver_core.metrics
from mlserver_core import MLModel, ModelSettings, custom_handler
from mlserver_core.errors import InvalidModelContext, MLServerError
from mlserver_core.repositories.interfaces import Listing
from mlserver_core.types import InferenceResponse
from mlserver_core.types.context import RequestContext

ANSWER = InferenceResponse(outputs=[])


def settings(implementation, version=None, **fields):
    parameters = {"version": version}
    return ModelSettings(
        **{"name": "m", "implementation": implementation, "parameters": parameters, **fields}
    )


def labels(name="m", version=""):
    return {"model_name": name, "model_version": version}


def seen(scraped, metric, name="m", version=""):
    """How many values a metric has, and their sum."""
    where = labels(name, version)
    return [scraped.value(f"{metric}_{part}", **where) for part in ("count", "sum")]


async def test_log_adds_to_a_histogram_with_the_labels_of_the_model(start, ask, scrape):
    class Logging(MLModel):
        async def predict(self, payload):
            mlserver_core.log(rows=3, seconds=0.5)
            mlserver_core.metrics.log(rows=np.float32(1))
            return ANSWER

    engine = await start(settings(Logging), settings(Logging, "v2", name="other"))
    await ask(engine)
    await ask(engine, "other")
    assert seen(scrape(engine), "rows") == [2, 4]
    assert seen(scrape(engine), "rows", "other", "v2") == [2, 4]
    assert seen(scrape(engine), "seconds") == [1, 0.5]
    assert scrape(engine).series("rows_bucket")[0].keys() == {*labels(), "le"}


async def test_the_buckets_are_those_that_the_documentation_names(start, ask, scrape):
    class Logging(MLModel):
        async def predict(self, payload):
            mlserver_core.log(rows=3)
            return ANSWER

    engine = await start(settings(Logging))
    await ask(engine)
    named = [
        "0.005",
        "0.01",
        "0.025",
        "0.05",
        "0.075",
        "0.1",
        "0.25",
        "0.5",
        "0.75",
        "1.0",
        "2.5",
        "5.0",
        "7.5",
        "10.0",
        "+Inf",
    ]
    assert [each["le"] for each in scrape(engine).series("rows_bucket")] == named


async def test_register_gives_a_description_and_the_same_metric_again(start, ask, scrape):
    class Registering(MLModel):
        async def load(self):
            self.first = mlserver_core.register("rows", "Rows of requests.")
            return True

        async def predict(self, payload):
            self.first.observe(1)
            mlserver_core.register("rows", "Rows of requests.").observe(2)
            mlserver_core.metrics.register("rows", "Something else.").observe(3)
            mlserver_core.log(rows=4)
            return ANSWER

    engine = await start(settings(Registering))
    await ask(engine)
    assert seen(scrape(engine), "rows") == [4, 10]
    assert "# HELP rows Rows of requests.\n" in scrape(engine).text


async def test_register_works_at_the_top_of_a_module_and_again_on_reload(
    start, ask, scrape, folder_model
):
    made = folder_model(
        "m",
        """
        import mlserver_core

        ROWS = mlserver_core.register("rows", "Rows of requests.")

        class Model(mlserver_core.MLModel):
            async def predict(self, payload):
                ROWS.observe(2)
                return mlserver_core.types.InferenceResponse(outputs=[])
        """,
    )
    engine = await start(made)
    await ask(engine)

    class Repository:
        async def find(self, name):
            return Listing((made,))

    engine.models.repository = Repository()
    await engine.load_model("m")
    await ask(engine)
    assert seen(scrape(engine), "rows") == [2, 4]


async def test_models_that_share_a_module_log_under_their_own_names(start, ask, scrape):
    shared = mlserver_core.register("rows", "Registered outside of any model.")

    class Sharing(MLModel):
        async def predict(self, payload):
            shared.observe(1)
            return ANSWER

    engine = await start(settings(Sharing), settings(Sharing, name="other"))
    await ask(engine)
    await ask(engine, "other")
    assert seen(scrape(engine), "rows") == seen(scrape(engine), "rows", "other") == [1, 1]


async def test_two_servers_keep_custom_metrics_apart(start, ask, scrape):
    class Logging(MLModel):
        def predict(self, payload):
            mlserver_core.log(rows=1)
            return ANSWER

    first, second = await start(settings(Logging)), await start(settings(Logging))
    await ask(first)
    assert seen(scrape(first), "rows") == [1, 1]
    assert scrape(second).series("rows_count") == []


async def test_log_works_wherever_the_server_calls_a_model(start, ask, scrape):
    class Everywhere(MLModel):
        def __init__(self, settings):
            super().__init__(settings)
            mlserver_core.log(made=1)

        def load(self):
            mlserver_core.log(loaded=1)

        def metadata(self):
            mlserver_core.log(described=1)
            return super().metadata()

        def predict(self, payload):
            mlserver_core.log(answered=1)
            return ANSWER

        async def predict_stream(self, payloads):
            async for _ in payloads:
                mlserver_core.log(streamed=1)
                yield ANSWER

    engine = await start(settings(Everywhere))
    await ask(engine)
    await engine.metadata("m")

    async def source():
        yield mlserver_core.types.InferenceRequest(inputs=[])

    async for _ in engine.infer_stream("m", None, source(), RequestContext()):
        pass
    for metric in ("made", "loaded", "described", "answered", "streamed"):
        assert seen(scrape(engine), metric) == [1, 1], metric


async def test_log_works_in_custom_handlers_async_and_plain_w46(start, scrape):
    class Handling(MLModel):
        @custom_handler("/async")
        async def answer_async(self):
            mlserver_core.log(calls=1)

        @custom_handler("/plain")
        def answer_plain(self):
            mlserver_core.log(calls=1)

    engine = await start(settings(Handling))

    async def no_arguments():
        return {}

    for path in ("/async", "/plain"):
        match = engine.find_route("POST", path)
        await engine.call_route(match.route, no_arguments, RequestContext())
    assert seen(scrape(engine), "calls") == [2, 2]


async def test_log_takes_names_of_any_length_w47(start, ask, scrape):
    class Logging(MLModel):
        async def predict(self, payload):
            mlserver_core.log(**{"rows" * 50: 1})
            return ANSWER

    name, version = "n" * 120, "v" * 60
    engine = await start(settings(Logging, version, name=name))
    await ask(engine, name)
    assert seen(scrape(engine), "rows" * 50, name, version) == [1, 1]


async def test_an_observation_outside_of_the_servers_threads_counts_for_who_registered(
    start, ask, scrape
):
    class Threading(MLModel):
        async def load(self):
            self.rows = mlserver_core.register("rows", "Rows.")

        def predict(self, payload):
            thread = threading.Thread(target=self.rows.observe, args=(1,))
            thread.start()
            thread.join()
            return ANSWER

    engine = await start(settings(Threading))
    await ask(engine)
    assert seen(scrape(engine), "rows") == [1, 1]


def test_without_a_server_an_observation_goes_nowhere_and_log_is_refused():
    mlserver_core.register("rows", "Rows.").observe(1)
    with pytest.raises(InvalidModelContext, match=r"^log\(rows\) was called outside of a model"):
        mlserver_core.log(rows=1)


async def test_log_outside_of_a_model_is_a_500_also_beside_a_server(start):
    await start()
    with pytest.raises(InvalidModelContext) as refused:
        mlserver_core.log(rows=1)
    assert isinstance(refused.value, MLServerError)


async def test_with_metrics_switched_off_models_log_and_register_to_nowhere(start, ask):
    class Logging(MLModel):
        async def predict(self, payload):
            mlserver_core.log(rows=1)
            mlserver_core.register("rows", "Rows.").observe(1)
            return ANSWER

    engine = await start(settings(Logging), metrics_endpoint=None)
    assert (await ask(engine)).model_name == "m"
    assert engine.metrics is None


@pytest.mark.parametrize("name", ["", "1st", "with space", "with-dash", "ünicode", "a\n"])
def test_a_name_that_is_none_is_refused_with_what_it_may_have(name):
    with pytest.raises(ValueError, match="a name has letters, digits, '_' and ':' only"):
        mlserver_core.register(name, "")


@pytest.mark.parametrize(
    "name",
    ["model_infer_request_success", "model_infer_request_duration_sum", "python_info"],
)
async def test_a_name_of_the_servers_own_metrics_is_refused_with_that_reason(start, name):
    class Registering(MLModel):
        async def load(self):
            mlserver_core.register(name, "Mine.")

    with pytest.raises(Exception, match=f"metric '{name}': the server has a metric of that name"):
        await start(settings(Registering))


async def test_a_value_that_is_no_number_is_refused_by_name(start, ask, scrape):
    class Logging(MLModel):
        async def predict(self, payload):
            mlserver_core.log(rows="many")
            return ANSWER

    engine = await start(settings(Logging))
    with pytest.raises(MLServerError, match="metric 'rows': expected a number, got str"):
        await ask(engine)


@pytest.fixture
def busy_threads():
    """Makes threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("busy_threads")
async def test_many_threads_may_register_the_same_metrics(start, ask, scrape):
    together = threading.Barrier(8)

    class Threads(MLModel):
        def predict(self, payload):
            def work():
                together.wait(30)
                for number in range(100):
                    mlserver_core.log(**{f"rows_{number}": 1})

            contexts = [contextvars.copy_context() for _ in range(8)]
            threads = [threading.Thread(target=each.run, args=(work,)) for each in contexts]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            return ANSWER

    engine = await start(settings(Threads))
    await ask(engine)
    text = scrape(engine)
    counted = [seen(text, f"rows_{number}") for number in (0, 50, 99)]
    assert counted == [[8, 8]] * 3


CODE = """
import mlserver_core

class Model(mlserver_core.MLModel):
    async def load(self):
        mlserver_core.register("rows", "Rows of requests.")

    async def predict(self, payload):
        mlserver_core.log(rows=payload.inputs[0].shape[0])
        return mlserver_core.types.InferenceResponse(outputs=[])
"""


def test_custom_metrics_are_collected_from_a_server_with_no_workers_w39(serve, model_folder):
    folder = model_folder("m", CODE, implementation="models.Model")
    server = serve(folder, MLSERVER_PARALLEL_WORKERS="0")
    body = {"inputs": [{"name": "x", "datatype": "INT8", "shape": [2], "data": [1, 2]}]}
    url = f"{server.url}/v2/models/m/infer"
    urllib.request.urlopen(
        urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    ).close()
    assert seen(server.scrape(), "rows") == [1, 2]
