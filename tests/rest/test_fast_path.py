"""What comes the short way is answered as what comes through the application."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from aiohttp import HttpVersion10, HttpVersion11
from multidict import CIMultiDict

from mlserver_core.rest.app import make_app
from mlserver_core.rest.fast_path import FAST_PATH
from mlserver_core.settings import Settings

ONE = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT32", "data": [1]}]}
MANY = {"inputs": [{"name": "x", "shape": [200], "datatype": "INT32", "data": list(range(200))}]}
BINARY = {**ONE, "parameters": {"binary_data_output": True}}
TEXT = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["\u00e9"]}]}
WRONG = {"inputs": [{"name": "x", "shape": [3], "datatype": "INT32", "data": [1]}]}


def faulty(what):
    return {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [what]}]}


#: Model, body, headers.
REQUESTS = {
    "one number": ("echo", ONE, {}),
    "an id in the body": ("echo", {"id": "mine", **ONE}, {}),
    "an id in a header": ("echo", ONE, {"X-Request-ID": "theirs"}),
    "ids in both": ("echo", {"id": "mine", **ONE}, {"X-Request-ID": "theirs"}),
    "an id that is no ASCII": ("echo", {"id": "m\u00efne\r\n", **ONE}, {}),
    "text": ("echo", TEXT, {}),
    "a long answer": ("echo", MANY, {}),
    "a long answer in gzip": ("echo", MANY, {"Accept-Encoding": "gzip"}),
    "a short answer in gzip": ("echo", ONE, {"Accept-Encoding": "gzip"}),
    "a binary answer": ("echo", BINARY, {}),
    "headers of a model": ("headers", TEXT, {}),
    "no JSON": ("echo", b"{", {}),
    "no body": ("echo", b"", {}),
    "another content type": ("echo", b"a=b", {"Content-Type": "text/css"}),
    "a tensor that does not fit": ("echo", WRONG, {}),
    "a timeout that is none": ("echo", ONE, {"X-Request-Timeout": "soon"}),
    "no such model": ("missing", ONE, {}),
    "no such model with a long name": ("m" * 600, ONE, {"Accept-Encoding": "gzip"}),
    "a failing model": ("faulty", faulty("value_error"), {}),
    "a model that refuses": ("faulty", faulty("refused"), {}),
    "a version": ("versioned/versions/10", ONE, {}),
    "no such version": ("versioned/versions/11", ONE, {}),
}


@pytest.mark.parametrize(("model", "body", "headers"), REQUESTS.values(), ids=REQUESTS)
def test_both_ways_give_the_same_answer(shared_server, call, model, body, headers):
    headers = {"X-Request-ID": "the same"} | headers
    path = f"/v2/models/{model}/infer"
    short = answer_of(call(shared_server, "POST", path, body, headers))
    long = answer_of(call(shared_server, "POST", path + "?long", body, headers))
    assert short == long


def answer_of(answer):
    """Status, headers and body, without what differs from one request to the next."""
    status, headers, body = answer
    named = sorted((name, value) for name, value in headers.items() if name != "Date")
    if headers.get("Content-Encoding") == "gzip":
        named = [each for each in named if each[0] != "Content-Length"]
        body = len(body) > 0
    elif headers["Content-Type"].startswith("application/json"):
        body = json.loads(body)
        for output in body.get("outputs", []):
            if output["name"] == "headers":
                output["data"] = sorted(json.loads(output["data"][0]).items())
    return status, named, body


def test_both_ways_make_an_id(shared_server, call):
    for path in ("/v2/models/echo/infer", "/v2/models/echo/infer?long"):
        _, headers, body = call(shared_server, "POST", path, ONE)
        assert len(headers["X-Request-ID"]) == 36
        assert json.loads(body)["id"] == headers["X-Request-ID"]


def test_both_ways_are_counted_alike(shared_server, call):
    labels = {
        "method": "POST",
        "path": "/v2/models/{model_name}/infer",
        "status_code": "200",
        "app_name": "mlserver",
    }

    def counts():
        scraped = shared_server.scrape()
        return [
            scraped.value("rest_server_requests_total", **labels) or 0,
            scraped.value("rest_server_request_duration_seconds_count", **labels) or 0,
        ]

    before = counts()
    for path in ("/v2/models/echo/infer", "/v2/models/echo/infer?long"):
        call(shared_server, "POST", path, ONE)
    assert counts() == [value + 2 for value in before]


@pytest.fixture
def app():
    """An application whose own way is closed: its router finds nothing."""

    def make(**settings):
        engine = SimpleNamespace(metrics=None, draining=False, settings=Settings(**settings))
        made = make_app(Settings(**settings), engine)
        made.freeze()
        return made

    return make


def request_of(method="POST", path="/v2/models/m/infer", version=HttpVersion11, **headers):
    return SimpleNamespace(
        method=method,
        raw_path=path,
        version=version,
        keep_alive=headers.get("Connection") != "close",
        headers=CIMultiDict(headers),
    )


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v2/models/m/infer", ("m", None)),
        ("/v2/models/m/versions/v1.0/infer", ("m", "v1.0")),
        ("/v2/models/a.b-c_d~e/infer", ("a.b-c_d~e", None)),
    ],
)
def test_plain_paths_go_the_short_way(app, path, model):
    assert app()[FAST_PATH]._model_of(request_of(path=path)) == model


@pytest.mark.parametrize(
    "request_",
    [
        request_of(method="GET"),
        request_of(version=HttpVersion10),
        request_of(Expect="100-continue"),
        request_of(Connection="close"),
        request_of(path="/v2/models/m/infer?a"),
        request_of(path="/v2/models/m/infer/"),
        request_of(path="/v2/models/a%2Fb/infer"),
        request_of(path="/v2/models/a/b/infer"),
        request_of(path="/v2/models/\u00e9/infer"),
        request_of(path="/v2/models/m/generate"),
        request_of(path="/v2/models/m/infer_stream"),
    ],
    ids=lambda each: f"{each.method} {each.path if hasattr(each, 'path') else each.raw_path}",
)
def test_whatever_needs_more_is_left_to_the_application(app, request_):
    assert app()[FAST_PATH]._model_of(request_) is None


@pytest.mark.parametrize("settings", [{"debug": True}, {"cors_settings": {"allow_origins": ["*"]}}])
def test_an_access_log_and_cross_origin_headers_need_the_application(app, settings):
    assert app(**settings)[FAST_PATH]._model_of(request_of()) is None
