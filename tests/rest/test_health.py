from __future__ import annotations

import http.client
import json

import pytest


def get(server, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 200, {"ready": True}),
        ("/v2/models/echo/ready", 200, {"name": "echo", "ready": True}),
        ("/v2/models/versioned/versions/v2/ready", 200, {"name": "versioned", "ready": True}),
        ("/v2/models/nope/ready", 404, {"error": "Model nope not found"}),
        (
            "/v2/models/echo/versions/9/ready",
            404,
            {"error": "Model echo with version 9 not found"},
        ),
        ("/v2/models/nope", 404, {"error": "Model nope not found"}),
        ("/v3", 404, {"error": "there is nothing at /v3"}),
        ("/v2/models/echo/infer", 405, {"error": "/v2/models/echo/infer does not take GET"}),
    ],
)
def test_get_answers(shared_server, path, status, body):
    got, headers, answer = get(shared_server, path)
    assert (got, json.loads(answer)) == (status, body)
    assert headers["Content-Type"].startswith("application/json")


def test_wrong_verb_says_which_is_right(shared_server):
    assert "POST" in get(shared_server, "/v2/models/echo/infer")[1]["Allow"]


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/sum"])
def test_head_works_wherever_get_does(shared_server, path):
    status, _, body = get(shared_server, path, "HEAD")
    assert (status, body) == (200, b"")


def test_server_metadata_has_name_version_and_the_extensions_that_are_there(shared_server):
    import mlserver_core

    assert json.loads(get(shared_server, "/v2")[2]) == {
        "name": "mlserver",
        "version": mlserver_core.__version__,
        "extensions": ["model_repository", "binary_tensor_data", "generate", "parameters"],
    }


def test_model_metadata_is_what_the_settings_declare(shared_server):
    assert json.loads(get(shared_server, "/v2/models/sum")[2]) == {
        "name": "sum",
        "platform": "numpy",
        "versions": ["v1"],
        "inputs": [
            {
                "name": "x",
                "datatype": "FP64",
                "shape": [-1, -1],
                "parameters": {"content_type": "np"},
            }
        ],
        "outputs": [{"name": "total", "datatype": "FP64", "shape": [-1, 1]}],
        "parameters": {"content_type": "np"},
    }


def test_metadata_lists_all_loaded_versions_oldest_first(shared_server):
    assert json.loads(get(shared_server, "/v2/models/versioned")[2])["versions"] == ["v2", "v10"]


NOT_READY = """
from mlserver_core import MLModel

class Sleepy(MLModel):
    async def predict(self, payload):
        self.ready = False
        raise ValueError("asleep from now on")
"""


def test_runtime_that_lowers_its_readiness_makes_model_and_server_not_ready(
    serve, model_folder, tmp_path
):
    model_folder("sleepy", NOT_READY, implementation="models.Sleepy")
    server = serve(tmp_path)
    assert get(server, "/v2/health/ready")[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    for expected in ("ValueError: asleep from now on", "Model sleepy is not ready yet."):
        connection.request("POST", "/v2/models/sleepy/infer", '{"inputs": []}')
        assert json.loads(connection.getresponse().read()) == {"error": expected}
    connection.close()
    assert get(server, "/v2/models/sleepy/ready")[::2] == (
        400,
        b'{"name":"sleepy","ready":false}',
    )
    assert get(server, "/v2/health/ready")[::2] == (400, b'{"ready":false}')
    assert get(server, "/v2/health/live")[0] == 200
