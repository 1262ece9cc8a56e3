"""The listener that Prometheus asks."""

from __future__ import annotations

import gzip
import http.client

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from mlserver_core import MLModel, MLServer, ModelSettings, Settings, log
from mlserver_core.errors import SettingsError
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.settings.loading import load_settings
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext

#: What Prometheus 3 sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Logging(MLModel):
    async def predict(self, payload):
        log(rows=1)
        return InferenceResponse(outputs=[])


def get(server, path="/metrics", method="GET", **headers):
    """Status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.metrics_port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.fixture
async def make():
    """Starts servers with all listeners on free ports and a model ``m``."""
    servers = []

    async def start(*models, **settings):
        plugins = PluginManager()
        plugins.load(BUILTIN_PLUGINS, {})
        ports = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
        server = MLServer(Settings(**{**ports, **settings}), plugins=plugins)
        servers.append(server)
        await server.startup(models or [ModelSettings(name="m", implementation=Logging)])
        return server

    yield start
    for server in servers:
        await server.stop()


async def fetch(server, path="/metrics", **headers):
    url = f"http://127.0.0.1:{server.transports['metrics'].port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "nonsense;;,=q"])
def test_everybody_gets_the_text_format(shared_server, accept):
    status, headers, body = get(shared_server, Accept=accept)
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = [family.name for family in parse_text(body.decode())]
    assert "model_infer_request_success" in names
    assert "python_info" in names


@pytest.mark.parametrize(
    "accept",
    [PROMETHEUS, "application/openmetrics-text", "Application/Openmetrics-Text;version=x"],
)
def test_who_accepts_openmetrics_gets_it(shared_server, accept):
    status, headers, body = get(shared_server, Accept=accept)
    assert status == 200
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0;")
    names = [family.name for family in parse_openmetrics(body.decode())]
    assert "model_infer_request_success" in names
    assert body.endswith(b"# EOF\n")


def test_who_accepts_gzip_gets_it(shared_server):
    _, plain, body = get(shared_server)
    assert plain["Content-Encoding"] is None
    _, zipped, small = get(shared_server, **{"Accept-Encoding": "deflate, gzip;q=0.5"})
    assert zipped["Content-Encoding"] == "gzip"
    assert b"model_infer_request_success_total" in gzip.decompress(small)
    assert len(small) < len(body)
    _, other, _ = get(shared_server, **{"Accept-Encoding": "deflate, br"})
    assert other["Content-Encoding"] is None


def test_there_is_nothing_else_on_that_port(shared_server):
    assert get(shared_server, "/")[0] == 404
    assert get(shared_server, "/v2/health/live")[0] == 404
    assert get(shared_server, method="POST")[0] == 405
    assert get(shared_server, method="HEAD")[0] == 200


async def test_custom_metrics_have_the_labels_as_exemplar_where_they_fit(make):
    long = ModelSettings(name="n" * 120, implementation=Logging)
    server = await make(ModelSettings(name="m", implementation=Logging), long)
    for name in ("m", "n" * 120):
        request = InferenceRequest(inputs=[])
        await server.engine.infer(name, None, request, RequestContext())
    _, _, body = await fetch(server, Accept="application/openmetrics-text")
    families = {family.name: family for family in parse_openmetrics(body)}
    exemplars = {
        sample.labels["model_name"][0]: sample.exemplar.labels
        for sample in families["rows"].samples
        if sample.exemplar is not None
    }
    assert exemplars == {"m": {"model_name": "m", "model_version": ""}}


async def test_the_path_is_that_of_the_settings(make):
    server = await make(metrics_endpoint="/somewhere/else")
    port = server.transports["metrics"].port
    line = f"Metrics server listening on http://127.0.0.1:{port}/somewhere/else"
    assert server.transports["metrics"].listening == line
    assert (await fetch(server, "/somewhere/else"))[0] == 200
    assert (await fetch(server))[0] == 404


async def test_two_servers_show_their_own_metrics(make):
    first = await make(ModelSettings(name="one", implementation=Logging))
    second = await make(ModelSettings(name="two", implementation=Logging))
    assert 'model="one"' in (await fetch(first))[2]
    assert 'model="two"' not in (await fetch(first))[2]
    assert 'model="one"' not in (await fetch(second))[2]


async def test_a_scrape_that_keeps_its_connection_holds_up_no_stop(make):
    server = await make(shutdown_grace_period=30)
    url = f"http://127.0.0.1:{server.transports['metrics'].port}/metrics"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert answer.status == 200
            await answer.read()
        await server.stop()
        with pytest.raises(aiohttp.ClientError):
            await session.get(url)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("metrics_endpoint", "metrics", "expected a path such as /metrics, got 'metrics'"),
        ("metrics_endpoint", "/{metrics}", "expected a path such as /metrics"),
        ("metrics_rest_server_prefix", "my-prefix", "expected letters, digits and '_'"),
        ("metrics_rest_server_prefix", "", "expected letters, digits and '_'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, name, value, reason):
    variable = f"MLSERVER_{name.upper()}"
    with pytest.raises(SettingsError, match=variable) as refused:
        load_settings(tmp_path, {variable: value})
    assert reason in str(refused.value)
