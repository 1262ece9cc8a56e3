from __future__ import annotations

import json
import uuid

import pytest

INFER = "/v2/models/echo/infer"


def infer(call, server, id=None, header=None, path=INFER):
    body = {"inputs": []} if id is None else {"id": id, "inputs": []}
    headers = {} if header is None else {"X-Request-ID": header}
    _, got, answer = call(server, "POST", path, body, headers)
    return got["X-Request-ID"], json.loads(answer)


def test_id_is_made_and_told_in_header_and_body(shared_server, call):
    header, body = infer(call, shared_server)
    assert uuid.UUID(header).version == 4
    assert body["id"] == header


def test_id_of_the_body_is_told_in_the_header(shared_server, call):
    header, body = infer(call, shared_server, id="seven")
    assert (header, body["id"]) == ("seven", "seven")


@pytest.mark.parametrize("id", [None, ""])
def test_header_names_a_request_whose_body_does_not(shared_server, call, id):
    header, body = infer(call, shared_server, id, header="from-the-header")
    assert (header, body["id"]) == ("from-the-header", "from-the-header")


def test_header_is_echoed_and_the_body_keeps_its_own_id(shared_server, call):
    header, body = infer(call, shared_server, id="seven", header="eight")
    assert (header, body["id"]) == ("eight", "seven")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2"),
        ("HEAD", "/v2/health/live"),
        ("GET", "/v2/models/nope"),
        ("GET", "/nowhere"),
        ("DELETE", "/v2"),
        ("GET", "/v2/"),
        ("POST", INFER),
        ("POST", "/v2/models/nope/infer"),
    ],
)
def test_every_answer_has_it_errors_included(shared_server, call, method, path):
    _, headers, _ = call(shared_server, method, path, None, {"X-Request-ID": "abc"})
    assert headers.get_all("X-Request-ID") == ["abc"]
    _, headers, _ = call(shared_server, method, path)
    assert uuid.UUID(headers["X-Request-ID"]).version == 4


def test_bytes_that_are_no_http_get_one_too(shared_server, open_socket):
    client = open_socket(shared_server, b"\x00\x01\r\n\r\n")
    answer = b""
    while received := client.recv(65536):
        answer += received
    assert b"\r\nX-Request-ID: " in answer


@pytest.mark.parametrize(
    ("id", "header"),
    [
        ("Gr\u00fc\u00dfe", "Gr%C3%BC%C3%9Fe"),
        ("a\r\nX-Injected: 1", "a%0D%0AX-Injected: 1"),
        ("a\x00b\x7f", "a%00b%7F"),
        ("\u2713" * 2000, ("%E2%9C%93" * 2000)[:1024]),
    ],
    ids=["outside ascii", "line break", "control", "long"],
)
def test_id_cannot_say_more_than_its_header(shared_server, call, id, header):
    _, headers, _ = call(shared_server, "POST", "/v2/models/nope/infer", {"id": id, "inputs": []})
    assert headers["X-Request-ID"] == header
    assert "X-Injected" not in headers


def test_bytes_of_the_header_that_are_no_text_are_echoed_encoded(shared_server, call):
    headers = {"X-Request-ID": b"a\xffb"}
    _, got, answer = call(shared_server, "POST", INFER, {"inputs": []}, headers)
    assert json.loads(answer)["id"] == "a\ufffdb"
    assert got["X-Request-ID"] == "a%EF%BF%BDb"


def test_runtime_cannot_replace_it(served, call):
    server = served({"m": RENAMES})
    assert infer(call, server, id="mine", path="/v2/models/m/infer")[0] == "mine"


RENAMES = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[], parameters={"headers": {"x-request-id": "theirs"}})
"""
