from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest


def post(url, body=b""):
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": true}'])
def test_index_lists_every_version_with_its_state(shared_server, body):
    status, items = post(f"{shared_server.url}/v2/repository/index", body)
    assert status == 200
    assert {"name": "echo", "state": "READY", "reason": ""} in items
    versions = [item["version"] for item in items if item["name"] == "versioned"]
    assert versions == ["v2", "v10"]


def test_index_refuses_what_is_no_index_request(shared_server):
    status, body = post(f"{shared_server.url}/v2/repository/index", b'{"ready": 1}')
    assert (status, body) == (400, {"error": "ready: expected true or false, got 1"})


def test_a_model_is_unloaded_and_loaded_by_a_call(serve, model_folder, tmp_path):
    model_folder("m", implementation="echo")
    server = serve(tmp_path)
    url = f"{server.url}/v2/repository/models/m"
    assert post(f"{url}/unload") == (200, None)
    assert post(f"{server.url}/v2/models/m/infer", b'{"inputs": []}')[0] == 404
    assert post(f"{server.url}/v2/repository/index")[1] == [
        {"name": "m", "state": "UNAVAILABLE", "reason": ""}
    ]
    assert post(f"{url}/load") == (200, None)
    assert post(f"{server.url}/v2/models/m/infer", b'{"inputs": []}')[0] == 200


@pytest.mark.parametrize("action", ["load", "unload"])
@pytest.mark.parametrize("name", ["nope", "..", "%2e%2e%2fecho", "..%2f..%2fetc", "%00", "a%2Fb"])
def test_load_and_unload_of_an_unknown_name_are_not_found(shared_server, action, name):
    status, body = post(f"{shared_server.url}/v2/repository/models/{name}/{action}")
    assert status == 404
    assert list(body) == ["error"]


@pytest.mark.parametrize("action", ["load", "unload"])
def test_load_and_unload_are_refused_when_the_repository_api_is_off(serve, models_folder, action):
    server = serve(models_folder, "--set", "model_repository_api=off")
    status, body = post(f"{server.url}/v2/repository/models/echo/{action}")
    assert status == 403
    assert "MLSERVER_MODEL_REPOSITORY_API=on" in body["error"]


def test_index_is_refused_when_the_server_is_open_to_others(serve, models_folder):
    server = serve(models_folder, "--host", "0.0.0.0")
    status, body = post(f"{server.url}/v2/repository/index")
    assert status == 403
    assert "MLSERVER_MODEL_REPOSITORY_API=on" in body["error"]


def test_index_can_be_opened_to_others(serve, models_folder):
    server = serve(models_folder, "--host", "0.0.0.0", MLSERVER_MODEL_REPOSITORY_API="on")
    assert post(f"{server.url}/v2/repository/index")[0] == 200


def test_failed_model_is_listed_with_its_reason(serve, model_folder, tmp_path):
    model_folder("good", implementation="echo")
    model_folder("bad", implementation="nowhere.Runtime")
    server = serve(tmp_path, "--set", "on_load_error=serve")
    status, items = post(f"{server.url}/v2/repository/index")
    assert status == 200
    assert items == [
        {
            "name": "bad",
            "state": "UNAVAILABLE",
            "reason": "implementation 'nowhere.Runtime': there is no module 'nowhere' beside the "
            "settings file, and none is installed",
        },
        {"name": "good", "state": "READY", "reason": ""},
    ]
    assert post(f"{server.url}/v2/models/good/infer", b'{"inputs": []}')[0] == 200
