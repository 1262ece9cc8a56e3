"""Custom handlers of models in workers, through a server, beside those in its own process. What
all handlers have in common is in tests/rest/test_custom.py, for both.
"""

from __future__ import annotations

import gzip
import http.client
import json
import zlib

import pytest

MODEL = """
import asyncio
import json
import pathlib
import threading

from aiohttp import web

from mlserver_core import MLModel, custom_handler, request_context
from mlserver_core.errors import MLServerError


class Model(MLModel):
    def load(self):
        self.gate = asyncio.Event()
        self.written = 0
        return True

    @custom_handler(rest_path="/facts/{name}", rest_method="PUT")
    async def facts(self, request: web.Request, name: str):
        return {
            "method": request.method, "path": request.path, "raw_path": request.raw_path,
            "query": dict(request.query), "host": request.host, "scheme": request.scheme,
            "url": str(request.url), "remote": request.remote, "cookies": dict(request.cookies),
            "tenants": request.headers.getall("X-Tenant"), "name": name,
            "type": request.content_type, "length": request.content_length,
            "can_read": request.can_read_body, "match": dict(request.match_info),
        }

    @custom_handler(rest_path="/read/{how}")
    async def read(self, request: web.Request, how: str):
        if how == "form":
            fields = await request.post()
            return {name: getattr(each, "filename", each) for name, each in fields.items()}
        if how == "content":
            return [len(piece) async for piece in request.content.iter_any()]
        return await getattr(request, how)() if how != "read" else (await request.read()).decode()

    @custom_handler(rest_path="/stream/{pieces}", rest_method="GET")
    async def stream(self, request: web.Request, pieces: int):
        answer = web.StreamResponse(status=203, reason="As Told", headers={"X-Own": "1"})
        answer.set_cookie("a", "1")
        answer.set_cookie("b", "2", httponly=True)
        await answer.prepare(request)
        for number in range(pieces):
            self.written = number
            await answer.write(f"{number};".encode() * 1000)
        return answer

    @custom_handler(rest_path="/stepwise", rest_method="GET")
    async def stepwise(self, request: web.Request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"one")
        await self.gate.wait()
        await answer.write(b"two")
        return answer

    @custom_handler(rest_path="/open", rest_method="POST")
    async def open(self):
        self.gate.set()

    @custom_handler(rest_path="/written", rest_method="GET")
    async def get_written(self):
        return self.written

    @custom_handler(rest_path="/breaks/{how}", rest_method="GET")
    async def breaks(self, request: web.Request, how: str):
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"begun")
        if how == "raised":
            raise web.HTTPConflict(text="too late")
        if how == "failed":
            raise ValueError("in the middle")
        return {"another": "answer"}

    @custom_handler(rest_path="/answers/{what}", rest_method="GET")
    async def answers(self, request: web.Request, what: str):
        if what == "file":
            return web.FileResponse(pathlib.Path(__file__))
        answer = web.Response(text="x" * 2000, headers={"ETag": '"1"'})
        if what == "compressed":
            answer.enable_compression()
        if what == "cookies":
            answer.set_cookie("a", "1")
            answer.set_cookie("b", "2", path="/b")
        if what == "closing":
            answer.force_close()
        if what == "multipart":
            from aiohttp import MultipartWriter
            with MultipartWriter("mixed") as body:
                body.append("part")
            return web.Response(body=body)
        if what == "json":
            return web.json_response({"a": 1}, status=418)
        return answer

    @custom_handler(rest_path="/raises", rest_method="GET")
    async def raises(self):
        error = web.HTTPTooManyRequests(text="slowly", headers={"Retry-After": "7"})
        error.set_cookie("a", "1")
        error.set_cookie("b", "2")
        raise error
"""


@pytest.fixture(scope="module", params=[0, 1], ids=["in-process", "in-a-worker"])
def server(served, request):
    return served({"m": MODEL}, request.param)


@pytest.fixture
def connection(server):
    connected = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    yield connected
    connected.close()


def test_request_says_what_the_client_sent(connection):
    path = "/facts/a%2Fb%20c?q=1&q2=%C3%BC&q3="
    connection.putrequest("PUT", path, skip_host=True)
    for name, value in [
        ("Host", "example.com:99"),
        ("X-Tenant", "blue"),
        ("X-Tenant", "red"),
        ("Cookie", "one=1; two=2"),
        ("Content-Type", "text/plain"),
        ("Content-Length", "3"),
    ]:
        connection.putheader(name, value)
    connection.endheaders(b"abc")
    assert json.loads(connection.getresponse().read()) == {
        "method": "PUT",
        "path": "/facts/a/b c",
        "raw_path": path,
        "query": {"q": "1", "q2": "\u00fc", "q3": ""},
        "host": "example.com:99",
        "scheme": "http",
        "url": "http://example.com:99/facts/a%2Fb%20c?q=1&q2=%C3%BC&q3=",
        "remote": "127.0.0.1",
        "cookies": {"one": "1", "two": "2"},
        "tenants": ["blue", "red"],
        "name": "a/b c",
        "type": "text/plain",
        "length": 3,
        "can_read": True,
        "match": {},
    }


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nvalue\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'
    + b"0" * 100_000
    + b"\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("how", "kind", "sent", "answer"),
    [
        ("read", "text/plain", b"abc", "abc"),
        ("text", "text/plain; charset=latin-1", b"\xfc", "\u00fc"),
        ("json", "application/json", b'{"a": [1]}', {"a": [1]}),
        ("form", "application/x-www-form-urlencoded", b"a=1&b=2", {"a": "1", "b": "2"}),
        ("form", "multipart/form-data; boundary=x", FORM, {"text": "value", "file": "f.bin"}),
    ],
)
def test_handler_reads_the_body_itself(server, call, how, kind, sent, answer):
    for coding, body in (("identity", sent), ("gzip", gzip.compress(sent))):
        headers = {"Content-Type": kind, "Content-Encoding": coding}
        status, _, got = call(server, "POST", f"/read/{how}", body, headers)
        is_text = isinstance(answer, str)
        assert (status, got.decode() if is_text else json.loads(got)) == (200, answer)


def test_content_of_a_request_gives_every_byte(server, call):
    status, _, got = call(server, "POST", "/read/content", b"x" * 3_000_000)
    assert (status, sum(json.loads(got))) == (200, 3_000_000)


def test_answer_that_a_handler_writes_itself_comes_whole(server, call):
    status, headers, body = call(server, "GET", "/stream/5", None, {"X-Request-ID": "r-1"})
    assert (status, headers["X-Own"], headers["X-Request-ID"]) == (203, "1", "r-1")
    assert headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2; HttpOnly; Path=/"]
    assert body == b"".join(f"{number};".encode() * 1000 for number in range(5))


def test_piece_goes_out_before_the_next_is_written(server, connection, call):
    connection.request("GET", "/stepwise")
    answer = connection.getresponse()
    assert answer.read(3) == b"one"
    assert call(server, "POST", "/open")[0] == 200
    assert answer.read() == b"two"


@pytest.mark.parametrize("how", ["raised", "failed", "returned"])
def test_failure_in_the_middle_closes_the_connection(server, connection, how):
    connection.request("GET", f"/breaks/{how}")
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead) as raised:
        answer.read()
    assert raised.value.partial == b"begun"
    texts = {
        "raised": "409, request .*: too late",
        "failed": "ValueError: in the middle",
        "returned": "breaks has begun an answer of its own, and returned another",
    }
    server.wait_for(texts[how].rpartition(".*")[2])


def test_file_is_an_answer(server, call):
    status, headers, body = call(server, "GET", "/answers/file")
    assert (status, body.decode()) == (200, MODEL)
    assert int(headers["Content-Length"]) == len(body)


def test_compression_that_a_handler_asks_for_is_done_once(server, call):
    for coding, wbits in (("deflate", zlib.MAX_WBITS), ("gzip", 16 + zlib.MAX_WBITS)):
        accepting = {"Accept-Encoding": coding}
        _, headers, body = call(server, "GET", "/answers/compressed", None, accepting)
        assert headers["Content-Encoding"] == coding
        assert zlib.decompress(body, wbits) == b"x" * 2000


def test_headers_and_cookies_of_an_answer_are_kept(server, call):
    _, headers, body = call(server, "GET", "/answers/cookies")
    assert headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2; Path=/b"]
    assert (headers["ETag"], headers["Content-Type"]) == ('"1"', "text/plain; charset=utf-8")
    assert len(body) == 2000
    assert call(server, "GET", "/answers/json")[0] == 418
    assert call(server, "GET", "/answers/closing")[1]["Connection"] == "close"
    assert b"part" in call(server, "GET", "/answers/multipart")[2]


def test_head_has_the_headers_alone(server, call):
    status, headers, body = call(server, "HEAD", "/answers/plain")
    assert (status, headers["Content-Length"], body) == (200, "2000", b"")
    assert call(server, "HEAD", "/stream/3")[::2] == (203, b"")


def test_headers_of_an_exception_are_kept(server, call):
    status, headers, body = call(server, "GET", "/raises")
    assert (status, json.loads(body)) == (429, {"error": "slowly"})
    assert headers.get_all("Retry-After") == ["7"]
    assert headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2; Path=/"]
