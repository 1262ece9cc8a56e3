from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest


def post(url, body=b""):
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
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


@pytest.mark.parametrize("action", ["load", "unload"])
def test_load_and_unload_say_that_they_are_not_offered_yet(shared_server, action):
    status, body = post(f"{shared_server.url}/v2/repository/models/echo/{action}")
    assert status == 501
    assert body == {"error": "loading and unloading of models by a call is not offered yet"}


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
