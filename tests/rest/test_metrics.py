"""What is counted of REST."""

from __future__ import annotations

import asyncio
import http.client
import json

import aiohttp
import pytest

from mlserver_core import MLModel, MLServer, ModelSettings, Settings
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager

REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}
REQUESTS = "rest_server_requests_total"
SECONDS = "rest_server_request_duration_seconds"
IN_PROGRESS = "rest_server_requests_in_progress"

CODE = """
from mlserver_core import MLModel, custom_handler
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    @custom_handler("/items/{name}", "GET")
    async def item(self, name: str):
        return {"name": name}

    async def predict(self, payload):
        return InferenceResponse(outputs=[])
"""


class Waiting(MLModel):
    asked: asyncio.Event

    async def predict(self, payload):
        self.asked.set()
        await asyncio.Event().wait()


def call(server, path, method="GET", body=None):
    """The status of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def labels(method, path, status):
    where = {"method": method, "path": path, "status_code": str(status)}
    return {**where, "app_name": "mlserver"}


@pytest.fixture
def server(serve, model_folder):
    return serve(model_folder("m", CODE, implementation="models.Model"))


def test_requests_are_counted_with_the_path_of_their_route(server):
    infer, versioned = "/v2/models/{model_name}/infer", "/v2/models/{model_name}"
    assert call(server, "/v2/models/m/infer", "POST", REQUEST) == 200
    assert call(server, "/v2/models/m/infer", "POST", REQUEST) == 200
    assert call(server, "/v2/models/m/infer", "POST", {}) == 400
    assert call(server, "/v2/models/m") == 200
    assert call(server, "/v2/models/m", "HEAD") == 200
    scraped = server.scrape()
    assert scraped.value(REQUESTS, **labels("POST", infer, 200)) == 2
    assert scraped.value(REQUESTS, **labels("POST", infer, 400)) == 1
    assert scraped.value(REQUESTS, **labels("GET", versioned, 200)) == 1
    assert scraped.value(REQUESTS, **labels("HEAD", versioned, 200)) == 1
    assert scraped.value(f"{SECONDS}_count", **labels("POST", infer, 200)) == 2
    assert 0 < scraped.value(f"{SECONDS}_sum", **labels("POST", infer, 200)) < 60
    assert scraped.value(IN_PROGRESS, method="POST", app_name="mlserver") == 0


def test_unknown_names_paths_and_methods_make_no_series_w74(server):
    call(server, "/nowhere")
    before = server.scrape()
    asked = [f"name-of-nobody-{number}" for number in range(3)]
    for name in asked:
        assert call(server, f"/v2/models/{name}/infer", "POST", REQUEST) == 404
        assert call(server, f"/v2/models/{name}/versions/{name}/infer", "POST", REQUEST) == 404
        assert call(server, f"/v2/models/m/versions/{name}/infer", "POST", REQUEST) == 404
        assert call(server, f"/v2/models/{name}/ready") == 404
        assert call(server, f"/v2/models/{name}") == 404
        assert call(server, f"/{name}?{name}={name}") == 404
        call(server, f"/v2/repository/models/{name}/load", "POST")
    for method in ("PROPFIND", "MKCOL", "SEARCH"):
        assert call(server, "/v2", method) == 405
    scraped = server.scrape()
    assert "name-of-nobody" not in scraped.text.lower()
    assert scraped.value(REQUESTS, **labels("GET", "unknown", 404)) == 4
    assert scraped.value(REQUESTS, **labels("other", "unknown", 405)) == 3
    for name in ("model_infer_request_failure_total", "model_infer_request_duration_count"):
        assert scraped.series(name) == before.series(name) == [{"model": "m", "version": ""}]


def test_custom_handlers_are_counted_with_their_own_path(server):
    for name in ("one", "two"):
        call(server, f"/items/{name}")
    counted = [each for each in server.scrape().series(REQUESTS) if "/items" in each["path"]]
    assert [each["path"] for each in counted] == ["/items/{name}"]


def test_probes_are_not_counted(server):
    assert call(server, "/v2/health/live") == call(server, "/v2/health/ready") == 200
    assert server.scrape().series(REQUESTS) == []


def test_the_prefix_is_that_of_the_settings(serve, model_folder):
    server = serve(
        model_folder("m", CODE, implementation="models.Model"),
        MLSERVER_METRICS_REST_SERVER_PREFIX="mine",
    )
    assert call(server, "/v2") == 200
    assert server.scrape().value("mine_requests_total", **labels("GET", "/v2", 200)) == 1
    assert server.scrape().series(REQUESTS) == []


async def test_a_request_whose_client_leaves_is_counted_as_a_499(scrape):
    Waiting.asked = asyncio.Event()
    plugins = PluginManager()
    plugins.load(BUILTIN_PLUGINS, {})
    ports = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    server = MLServer(Settings(**ports), plugins=plugins)
    await server.startup([ModelSettings(name="m", implementation=Waiting)])
    where = labels("POST", "/v2/models/{model_name}/infer", 499)
    try:
        url = f"http://127.0.0.1:{server.transports['rest'].port}/v2/models/m/infer"
        async with aiohttp.ClientSession() as session:
            asking = asyncio.ensure_future(session.post(url, json=REQUEST))
            await Waiting.asked.wait()
            busy = scrape(server.engine).value(IN_PROGRESS, method="POST", app_name="mlserver")
            assert busy == 1
            asking.cancel()
        assert await server.engine.in_flight.drained(30)
    finally:
        await server.stop()
    scraped = scrape(server.engine)
    assert scraped.value(REQUESTS, **where) == 1
    assert scraped.value(IN_PROGRESS, method="POST", app_name="mlserver") == 0
    assert scraped.value("model_infer_request_failure_total", model="m", version="") == 1
