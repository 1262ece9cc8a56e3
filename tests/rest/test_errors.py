from __future__ import annotations

import json

import pytest

from mlserver_core.errors import ErrorCode, MLServerError, ModelNotFound
from mlserver_core.rest.errors import STATUS, one_line, to_status


def test_every_error_code_has_a_row():
    assert set(STATUS) == set(ErrorCode)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MLServerError("x"), 400),
        (MLServerError("x", 418), 418),
        (MLServerError("x", status_code=503), 503),
        (MLServerError("x", 200), 500),
        (MLServerError("x", 42), 500),
        (ModelNotFound("x"), 404),
    ],
)
def test_status_of_an_error(error, status):
    assert to_status(error) == status


def test_text_of_the_log_is_one_line_and_bounded():
    assert one_line("a\r\nb\x1b[0m\u2028\u00fc") == "a\\r\\nb\\x1b[0m\\u2028\u00fc"
    assert len(one_line("x" * 10_000)) < 600


FAULTY = """
from mlserver_core import MLModel
from mlserver_core.errors import MLServerError

class Model(MLModel):
    async def predict(self, payload):
        how = payload.inputs[0].name
        if how == "raises":
            raise ValueError("the reason")
        raise MLServerError(f"told {how}", int(how))
"""


@pytest.fixture(scope="module")
def faulty(served):
    return served({"m": FAULTY})


def tensor(how):
    return {"name": how, "shape": [1], "datatype": "INT8", "data": [1]}


@pytest.mark.parametrize(
    ("method", "path", "body", "level", "text"),
    [
        ("GET", "/v2/models/nope", None, "INFO", "404, request r-1: Model nope not found"),
        ("GET", "/no%0Awhere", None, "INFO", "GET /no%0Awhere: 404, request r-1: there is"),
        ("DELETE", "/v2", None, "INFO", "405, request r-1: /v2 does not take DELETE"),
        ("POST", "/v2/models/m/infer", b"{", "INFO", "400, request r-1: the request body is not"),
        ("POST", "/v2/models/m/infer", "418", "INFO", "418, request r-1: told 418"),
        ("POST", "/v2/models/m/infer", "503", "WARNING", "503, request r-1: told 503"),
        ("POST", "/v2/models/m/infer", "500", "ERROR", "500, request r-1: told 500"),
        ("POST", "/v2/models/m/infer", "raises", "ERROR", "500, request r-1: ValueError: the re"),
    ],
)
def test_error_is_one_line_in_the_log_and_whose_it_is_shows(
    faulty, call, method, path, body, level, text
):
    body = {"inputs": [tensor(body)]} if isinstance(body, str) else body
    status, _, _ = call(faulty, method, path, body, {"X-Request-ID": "r-1"})
    line = faulty.wait_for(f"{status}, request r-1: ")
    assert f"[mlserver.rest] {level} - {method} {path}: {status}" in line
    assert text in line
    seen = len(faulty.lines)
    call(faulty, "GET", "/v2/models/mark")
    faulty.wait_for("Model mark not found")
    assert len(faulty.lines) == seen + 1  # so that there was no traceback after it


def test_log_holds_no_line_that_a_client_made_up(faulty, call):
    call(faulty, "POST", "/v2/models/m/infer", {"id": "a\nb", "inputs": [tensor("418")]})
    line = faulty.wait_for("told 418")
    assert "request a%0Ab: told 418" in line


_POST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("sent", "text", "logged"),
    [
        (b"hello\r\n\r\n", "the request cannot be read as HTTP", ""),
        (
            b"GET /v2 HTTP/1.1\r\nHost: x\r\nHost: \x01y\r\n\r\n",
            "the request cannot be read as HTTP",
            "",
        ),
        (_CHUNKED + b"\r\nzz\r\n", "the request cannot be read as HTTP", "chunk size"),
        (
            _POST + b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip",
            "the request body cannot be read: Can not decode content-encoding: gzip",
            "",
        ),
    ],
    ids=["no-http", "two-hosts", "chunk", "gzip"],
)
def test_what_is_no_http_is_a_400_in_our_shape_and_one_line(
    faulty, call, open_socket, sent, text, logged
):
    seen = _settle(faulty, call)
    head, _, body = _read_all(open_socket(faulty, sent)).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400"
    assert b"application/json" in head
    assert b"X-Request-ID" in head
    assert json.loads(body) == {"error": text}
    assert _settle(faulty, call) == seen + 2
    line = faulty.lines[-2]
    assert "[mlserver.rest] INFO - " in line
    assert text in line
    assert logged in line


def _settle(server, call):
    """Reads the log so far, to a line that is made for it; the number of lines."""
    call(server, "GET", "/settle")
    server.wait_for("there is nothing at /settle")
    return len(server.lines)


BREAKS_OFF = """
from aiohttp import web
from mlserver_core import MLModel, custom_handler

class Model(MLModel):
    @custom_handler(rest_path="/breaks-off/{how}", rest_method="GET")
    async def breaks_off(self, request: web.Request, how: str):
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"the beginning")
        if how == "returns":
            return {"another": "answer"}
        raise ValueError("in the middle") if how == "raises" else web.HTTPNotFound()
"""


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("raises", "500, request r-2: ValueError: in the middle"),
        ("refuses", "404, request r-2: 404: Not Found"),
        ("returns", "500, request r-2: breaks_off has begun an answer of its own, and returned"),
    ],
)
def test_answer_that_breaks_off_is_cut_and_its_connection_closed(served, open_socket, how, text):
    server = served({"m": BREAKS_OFF})
    head = f"GET /breaks-off/{how} HTTP/1.1\r\nHost: x\r\nX-Request-ID: r-2\r\n\r\n".encode()
    answer = _read_all(open_socket(server, head))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nd\r\nthe beginning\r\n")
    server.wait_for(text)
    server.stop()
    rest = "".join(server.lines)
    assert rest.count("request r-2") == (2 if how == "raises" else 1)  # the engine's traceback
    assert "aiohttp.server" not in rest


def _read_all(client):
    answer = b""
    while received := client.recv(65536):
        answer += received
    return answer
