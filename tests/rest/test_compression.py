from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from mlserver_core.rest.compression import accepts_gzip

INFER = "/v2/models/echo/infer"
MANY = {"inputs": [{"name": "x", "shape": [9000], "datatype": "INT32", "data": list(range(9000))}]}
SOME = {"inputs": [{"name": "x", "shape": [200], "datatype": "INT32", "data": list(range(200))}]}
FEW = {"id": "1", "inputs": [{"name": "x", "shape": [2], "datatype": "INT32", "data": [1, 2]}]}
GZIP = {"Accept-Encoding": "gzip"}


@pytest.mark.parametrize("body", [SOME, MANY], ids=["small", "large"])
def test_answer_is_compressed_when_asked(shared_server, call, body):
    status, headers, answer = call(shared_server, "POST", INFER, body, GZIP)
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert headers["Vary"] == "Accept-Encoding"
    assert int(headers["Content-Length"]) == len(answer)
    data = json.loads(gzip.decompress(answer))["outputs"][0]["data"]
    assert data == body["inputs"][0]["data"]


def test_answer_that_may_come_compressed_says_so_to_caches(shared_server, call):
    _, headers, answer = call(shared_server, "POST", INFER, MANY)
    assert "Content-Encoding" not in headers
    assert headers["Vary"] == "Accept-Encoding"
    assert len(json.loads(answer)["outputs"][0]["data"]) == 9000


def test_short_answer_is_left_as_it_is(shared_server, call):
    _, headers, answer = call(shared_server, "POST", INFER, FEW, GZIP)
    assert "Content-Encoding" not in headers
    assert len(answer) < 500
    assert json.loads(answer)["id"] == "1"


def test_binary_answer_is_compressed_as_a_whole(shared_server, call):
    body = {**MANY, "parameters": {"binary_data_output": True}}
    _, headers, answer = call(shared_server, "POST", INFER, body, GZIP)
    assert headers["Content-Encoding"] == "gzip"
    raw = gzip.decompress(answer)[int(headers["Inference-Header-Content-Length"]) :]
    assert np.frombuffer(raw, "<i4").tolist() == list(range(9000))


def test_error_is_compressed_too(shared_server, call):
    status, headers, answer = call(shared_server, "POST", "/v2/models/" + "x" * 600, b"", GZIP)
    assert (status, headers["Content-Encoding"]) == (405, "gzip")
    assert list(json.loads(gzip.decompress(answer))) == ["error"]


def test_head_tells_the_length_of_what_get_would_send(shared_server, call):
    path = "/v2/models/" + "x" * 600
    lengths = {
        method: call(shared_server, method, path, None, GZIP)[1]["Content-Length"]
        for method in ("GET", "HEAD")
    }
    assert lengths["GET"] == lengths["HEAD"]


def test_gzip_enabled_false_switches_it_off(serve, models_folder, call):
    server = serve(models_folder, "--set", "gzip_enabled=false")
    _, headers, answer = call(server, "POST", INFER, MANY, GZIP)
    assert "Content-Encoding" not in headers
    assert "Vary" not in headers
    assert json.loads(answer)["outputs"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], False),
        ([""], False),
        (["gzip"], True),
        (["GZIP"], True),
        (["x-gzip"], True),
        (["deflate, gzip;q=0.5"], True),
        (["deflate", "gzip"], True),
        (["br;q=1.0, gzip;q=0.8, *;q=0.1"], True),
        (["*"], True),
        (["*;q=0"], False),
        (["gzip;q=0"], False),
        (["gzip;q=0.000, *"], False),
        (["gzip ; q=1"], True),
        (["gzip;Q=1.000"], True),
        (["gzip;q=0.5, identity"], False),
        (["gzip, identity;q=0.5"], True),
        (["identity"], False),
        (["deflate, br"], False),
        (["gzipped"], False),
        (["gzip;q=x"], False),
        (["gzip;q=2"], False),
    ],
)
def test_client_that_wants_gzip_is_understood(values, wanted):
    assert accepts_gzip(values) is wanted
