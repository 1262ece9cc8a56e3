from __future__ import annotations

import gzip
import json

import pytest

MODEL = """
from __future__ import annotations

from typing import Optional

import attrs
import numpy as np
from aiohttp import web

from mlserver_core import MLModel, custom_handler, request_context
from mlserver_core.errors import MLServerError
from mlserver_core.types import InferenceRequest, InferenceResponse, MetadataModelResponse
from mlserver_core.types import Parameters, RequestInput, ResponseOutput


@attrs.define
class Point:
    x: float
    y: float = 0.5


class Model(MLModel):
    @custom_handler(rest_path="/sync/{name}", rest_method="GET")
    def sync(self, name: str):
        return {"hello": name}

    @custom_handler(rest_path="/types/{number}/{share}", rest_method="GET")
    async def typed(self, number: int, share: float, flag: bool, word: str = "none",
                    limit: Optional[int] = None, more: int | None = None, untyped="x"):
        return [number, share, flag, word, limit, more, untyped]

    @custom_handler(rest_path="/files/{path:path}", rest_method="GET")
    async def files(self, path):
        return {"path": path}

    @custom_handler(rest_path="/files", rest_method="PUT")
    async def put_file(self, content: bytes, name: str):
        return {"name": name, "size": len(content)}

    @custom_handler(rest_path="/infer-like")
    async def infer_like(self, payload: InferenceRequest) -> InferenceResponse:
        tensor = payload.inputs[0]
        assert isinstance(tensor.data.root, np.ndarray)
        output = ResponseOutput(name="y", shape=tensor.shape, datatype="FP64",
                                data=np.asarray(tensor.data) * 2)
        return InferenceResponse(outputs=[output], id=payload.id,
                                 parameters=Parameters(headers={"X-From": "handler"}, kept=1))

    @custom_handler(rest_path="/tensor")
    async def tensor(self, payload: RequestInput):
        return payload

    @custom_handler(rest_path="/point")
    def point(self, point: Point):
        return Point(x=point.y, y=point.x)

    @custom_handler(rest_path="/dict")
    async def takes_dict(self, payload: dict):
        return payload

    @custom_handler(rest_path="/list")
    async def takes_list(self, payload: list[int]):
        return {"sum": sum(payload)}

    @custom_handler(rest_path="/optional")
    async def takes_optional(self, payload: Optional[dict] = None):
        return {"got": payload}

    @custom_handler(rest_path="/text")
    async def takes_text(self, text: str):
        return text.upper()

    @custom_handler(rest_path="/texts")
    async def takes_texts(self, first: str, second: str):
        return [first, second]

    @custom_handler(rest_path="/bytes")
    async def takes_bytes(self, body: bytes):
        return body[::-1]

    @custom_handler(rest_path="/request")
    async def takes_request(self, request: web.Request):
        return {"method": request.method, "tenant": request.headers["X-Tenant"],
                "body": await request.text()}

    @custom_handler(rest_path="/returns/{what}", rest_method="GET")
    async def returns(self, what: str):
        return {
            "none": None,
            "response": web.Response(status=202, text="accepted", headers={"X-Own": "1"}),
            "numpy": {"array": np.array([[1.5, np.nan]]), "number": np.int64(7)},
            "metadata": MetadataModelResponse(name="m", platform="p"),
            "number": 7,
            "object": object(),
            "long": "x" * 1000,
        }[what]

    @custom_handler(rest_path="/fails/{how}", rest_method="GET")
    async def fails(self, how: str):
        if how == "told":
            raise MLServerError("told so", 409)
        raise ValueError("the reason in /home/somebody/secret.txt")

    @custom_handler(rest_path="/returns-unknown", rest_method="GET")
    async def returns_unknown(self, one: "int") -> "Nowhere":
        return one

    @custom_handler(rest_path="/100%/{one}/{two}", rest_method="GET")
    async def percent(self, one, two):
        return [one, two]

    @custom_handler(rest_path="/both", rest_method="GET")
    @custom_handler(rest_path="/both", rest_method="POST")
    async def both(self):
        return "both"

    @custom_handler(rest_path="/twice", rest_method="GET")
    @custom_handler(rest_path="/twice/{word}", rest_method="GET")
    @custom_handler(rest_path="/twice", rest_method="POST")
    async def twice(self, word: str):
        return word

    @custom_handler(rest_path="/own-length", rest_method="GET")
    async def own_length(self):
        return web.Response(body=b"x" * 1000, headers={"Content-Length": "1000"})

    @custom_handler(rest_path="/id", rest_method="GET")
    async def id(self):
        return request_context().request_id

    @custom_handler(rest_path="/raises/{name}", rest_method="POST")
    def raises(self, name: str, body: bytes):
        if name == "HTTPFound":
            error = web.HTTPFound("/elsewhere")
            error.set_cookie("from", "here")
            raise error
        raise getattr(web, name)(text="the text" if name != "HTTPNoContent" else None,
                                 headers={"X-Own": "1"})

    @custom_handler(rest_path="/kept", rest_method="GET")
    async def kept(self):
        self.answer = getattr(self, "answer", None) or web.Response(text="kept")
        return self.answer
"""


@pytest.fixture(scope="module", params=[0, 1], ids=["in-process", "in-a-worker"])
def workers(request):
    """How many workers the models live in; 0 is the server's own process."""
    return request.param


@pytest.fixture(scope="module")
def server(served, workers):
    return served({"m": MODEL}, workers)


@pytest.fixture
def ask(server, call):
    """Status and body of a call; the body as JSON where it is."""

    def send(method, path, body=None, **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        status, got, answer = call(server, method, path, body, names)
        is_json = got.get_content_type() == "application/json" and answer
        return status, json.loads(answer) if is_json else answer

    return send


def test_plain_function_gets_what_is_in_the_path(ask):
    assert ask("GET", "/sync/world") == (200, {"hello": "world"})
    assert ask("GET", "/sync/Gr%C3%BC%C3%9Fe%20x") == (200, {"hello": "Gr\u00fc\u00dfe x"})


def test_path_and_query_values_have_the_types_of_the_annotations(ask):
    assert ask("GET", "/types/7/0.5?flag=true") == (200, [7, 0.5, True, "none", None, None, "x"])
    query = "flag=0&word=a%20b&limit=3&more=4&untyped=5&unknown=6"
    assert ask("GET", f"/types/-7/1e3?{query}") == (200, [-7, 1000.0, False, "a b", 3, 4, "5"])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/types/x/1?flag=1", "parameter 'number': expected an integer, got 'x'"),
        ("/types/1.5/1?flag=1", "parameter 'number': expected an integer, got '1.5'"),
        ("/types/1/x?flag=1", "parameter 'share': expected a number, got 'x'"),
        ("/types/1/1?flag=2", "parameter 'flag': expected true or false, got '2'"),
        ("/types/1/1", "parameter 'flag': required, but missing"),
        ("/types/1/1?flag=1&limit=", "parameter 'limit': expected an integer, got ''"),
        (f"/types/{'9' * 5000}/1?flag=1", "parameter 'number': expected an integer, got '9999"),
    ],
)
def test_value_that_does_not_fit_is_a_400_that_names_the_parameter(ask, path, text):
    status, body = ask("GET", path)
    assert (status, list(body)) == (400, ["error"])
    assert body["error"].startswith(text)


def test_path_variable_may_span_segments(ask):
    assert ask("GET", "/files/a/b/c.txt") == (200, {"path": "a/b/c.txt"})


def test_body_and_query_go_together(ask):
    assert ask("PUT", "/files?name=x", b"12345") == (200, {"name": "x", "size": 5})


TENSOR = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}


def test_inference_types_come_and_go(ask, server, call):
    body = {"id": "7", "inputs": [TENSOR]}
    status, headers, answer = call(server, "POST", "/infer-like", body)
    assert (status, headers["X-From"]) == (200, "handler")
    assert json.loads(answer) == {
        "model_name": "m",
        "id": "7",
        "parameters": {"kept": 1},
        "outputs": [{"name": "y", "shape": [2], "datatype": "FP64", "data": [2.0, 4.0]}],
    }
    assert ask("POST", "/tensor", TENSOR) == (200, TENSOR)
    assert ask("POST", "/infer-like", {"inputs": [{**TENSOR, "shape": [3]}]}) == (
        400,
        {"error": "tensor 'x': shape [3] expects 3 elements, got 2"},
    )


@pytest.mark.parametrize(
    ("path", "sent", "answer"),
    [
        ("/point", {"x": 1.5}, {"x": 0.5, "y": 1.5}),
        ("/dict", {"a": [1]}, {"a": [1]}),
        ("/dict", b"", {}),
        ("/list", [1, 2, 3], {"sum": 6}),
        ("/optional", b"", {"got": None}),
        ("/optional", {"a": 1}, {"got": {"a": 1}}),
        ("/text", "Gr\u00fc\u00dfe".encode(), "GR\u00dcSSE".encode()),
        ("/text?text=query", b"body", b"QUERY"),
        ("/texts?first=a&second=b", b"", ["a", "b"]),
        ("/bytes", b"\x00\xff1", b"1\xff\x00"),
    ],
)
def test_body_comes_as_the_annotation_says(ask, path, sent, answer):
    assert ask("POST", path, sent) == (200, answer)


@pytest.mark.parametrize(
    ("path", "sent", "text"),
    [
        ("/point", {}, "parameter 'point': x: required, but missing"),
        ("/point", {"x": "1"}, "parameter 'point': x: expected a number, got '1'"),
        ("/dict", [1], "parameter 'payload': expected an object, got a list"),
        ("/list", {"a": 1}, "parameter 'payload': expected a list, got an object"),
        ("/list", [1, "a"], "parameter 'payload': [1]: expected an integer, got 'a'"),
        ("/list", b"{", "the request body is not valid JSON"),
        ("/text", b"", "parameter 'text': required, but missing"),
        ("/text", b"\xff", "parameter 'text': the body is not UTF-8 text"),
        ("/texts", b"body", "parameter 'first': required, but missing"),
        ("/infer-like", {}, "inputs: required, but missing"),
    ],
)
def test_body_that_does_not_fit_is_a_400_that_says_where(ask, path, sent, text):
    status, body = ask("POST", path, sent)
    assert (status, list(body)) == (400, ["error"])
    assert body["error"].startswith(text)


def test_handler_can_have_the_request_itself(ask):
    assert ask("POST", "/request", b"abc", X_Tenant="blue") == (
        200,
        {"method": "POST", "tenant": "blue", "body": "abc"},
    )


@pytest.mark.parametrize(
    ("what", "status", "kind", "body"),
    [
        ("none", 200, None, b""),
        ("response", 202, "text/plain; charset=utf-8", b"accepted"),
        ("numpy", 200, "application/json", b'{"array":[[1.5,null]],"number":7}'),
        ("metadata", 200, "application/json", b'{"name":"m","platform":"p"}'),
        ("number", 200, "application/json", b"7"),
        ("long", 200, "text/plain; charset=utf-8", b"x" * 1000),
    ],
)
def test_what_a_handler_returns_becomes_an_answer(server, call, what, status, kind, body):
    got, headers, answer = call(server, "GET", f"/returns/{what}", None, {"X-Request-ID": "7"})
    assert (got, answer) == (status, body)
    assert kind in (None, headers["Content-Type"])
    assert headers["X-Request-ID"] == "7"
    assert headers["X-Own"] == ("1" if what == "response" else None)


def test_bytes_are_answered_as_they_are(server, call):
    _, headers, _ = call(server, "POST", "/bytes", b"x")
    assert headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/returns/object", 500, "the answer cannot be sent as JSON: object has no JSON"),
        ("GET", "/fails/told", 409, "told so"),
        ("GET", "/fails/otherwise", 500, "ValueError: the reason in secret.txt"),
    ],
)
def test_failure_of_a_handler_is_its_text(ask, method, path, status, text):
    got, body = ask(method, path)
    assert (got, list(body)) == (status, ["error"])
    assert body["error"].startswith(text)


def test_each_mark_of_a_method_has_arguments_of_its_own(ask):
    for _ in range(2):
        assert ask("GET", "/twice/path") == (200, b"path")
        assert ask("POST", "/twice", b"body") == (200, b"body")
        assert ask("GET", "/twice?word=query") == (200, b"query")


def test_handler_knows_the_id_that_the_client_gets(server, call):
    _, headers, body = call(server, "GET", "/id")
    assert body.decode() == headers["X-Request-ID"]
    assert call(server, "GET", "/id", None, {"X-Request-ID": "mine"})[2] == b"mine"
    call(server, "GET", "/fails/otherwise", None, {"X-Request-ID": "r-8"})
    assert server.wait_for("failed on a call of fails (request r-8)")


@pytest.mark.parametrize(
    ("name", "status"),
    [("HTTPNotFound", 404), ("HTTPConflict", 409), ("HTTPBadGateway", 502)],
)
def test_exception_of_aiohttp_is_an_error_with_its_status_and_text(server, call, name, status):
    call(server, "GET", f"/before/{name}")
    server.wait_for(f"there is nothing at /before/{name}")
    sent = {"X-Request-ID": "r-10"}
    seen = len(server.lines)
    got, headers, body = call(server, "POST", f"/raises/{name}", b"x", sent)
    assert (got, json.loads(body)) == (status, {"error": "the text"})
    assert (headers["X-Own"], headers["Content-Type"]) == ("1", "application/json")
    line = server.wait_for(f"{status}, request r-10: the text")
    assert server.lines[seen:] == [line]
    assert "ERROR" not in line


def test_exception_of_aiohttp_that_is_no_error_is_the_answer(server, call):
    status, headers, _ = call(server, "POST", "/raises/HTTPFound", b"x")
    assert (status, headers["Location"]) == (302, "/elsewhere")
    assert headers["Set-Cookie"].startswith("from=here")
    status, headers, body = call(server, "POST", "/raises/HTTPAccepted", b"x")
    assert (status, body, headers["X-Own"]) == (202, b"the text", "1")
    assert call(server, "POST", "/raises/HTTPNoContent", b"x")[0] == 204


def test_answer_that_was_sent_before_is_refused(ask):
    assert ask("GET", "/kept") == (200, b"kept")
    status, body = ask("GET", "/kept")
    assert status == 500
    assert body["error"].endswith("return a new web.Response for each call")


def test_length_that_a_handler_gives_is_that_of_the_plain_body(server, call):
    _, headers, body = call(server, "GET", "/own-length", None, {"Accept-Encoding": "gzip"})
    assert (headers["Content-Encoding"], gzip.decompress(body)) == ("gzip", b"x" * 1000)
    assert call(server, "GET", "/own-length")[1]["Content-Length"] == "1000"


def test_other_verb_is_refused_with_those_that_are_right(server, call):
    status, headers, body = call(server, "POST", "/files/a")
    assert (status, headers["Allow"]) == (405, "GET,HEAD")
    assert json.loads(body) == {"error": "/files/a does not take POST"}
    assert call(server, "DELETE", "/both")[1]["Allow"] == "GET,HEAD,POST"


def test_head_works_where_get_does(server, call):
    status, headers, body = call(server, "HEAD", "/sync/world")
    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == "17"


def test_slash_too_many_leads_to_the_handler(server, call):
    status, headers, _ = call(server, "GET", "/sync/world/?a=b")
    assert (status, headers["Location"]) == (307, "/sync/world?a=b")
    status, headers, _ = call(server, "GET", "//example.com/")
    assert status == 404


def test_annotation_of_what_is_returned_does_not_matter(ask):
    assert ask("GET", "/returns-unknown?one=1") == (200, 1)


def test_slash_in_a_value_separates_nothing(ask):
    assert ask("GET", "/sync/a%2Fb%252F") == (200, {"hello": "a/b%2F"})
    assert ask("GET", "/files/a%2Fb/c") == (200, {"path": "a/b/c"})
    assert ask("GET", "/100%25/a%2fb/%25") == (200, ["a/b", "%"])
    status, body = ask("POST", "/sync/a%2Fb")
    assert (status, body) == (405, {"error": "/sync/a/b does not take POST"})


CANNOT_BE_CALLED = """
from typing import Union
from mlserver_core import MLModel, custom_handler

class Model(MLModel):
    @custom_handler(rest_path="PATH", rest_method="POST")
    async def wrong(self, PARAMETERS):
        return None
"""


@pytest.mark.parametrize(
    ("path", "parameters", "reason"),
    [
        ("/w", "one: dict, two: list", "custom handler Model.wrong: the parameters one, two all"),
        ("/w", "one: Union[int, str]", "custom handler Model.wrong: parameter 'one' cannot be fi"),
        ("/w", "one: 'Nowhere'", "custom handler Model.wrong: its annotations cannot be read"),
        ("/w/{one}", "one: dict", "custom handler Model.wrong: parameter 'one' cannot be filled"),
        ("/v2/health/live", "", "custom handler 'wrong': its rest_path is one of the server's own"),
        (
            "/v2/models/{x}/infer",
            "x",
            "custom handler 'wrong': its rest_path is one of the server's own",
        ),
    ],
)
def test_model_whose_handler_cannot_be_called_does_not_load(
    serve, model_folder, tmp_path, call, workers, path, parameters, reason
):
    code = CANNOT_BE_CALLED.replace("PATH", path).replace("PARAMETERS", parameters)
    model_folder("m", code, implementation="models.Model", parallel_workers=workers)
    server = serve(tmp_path, "--set", "on_load_error=serve")
    (item,) = json.loads(call(server, "POST", "/v2/repository/index", {})[2])
    assert (item["state"], item["reason"][: len(reason)]) == ("UNAVAILABLE", reason)
    server.stop()


def test_answer_is_compressed_and_body_bounded_as_everywhere(server, call):
    _, headers, _ = call(server, "GET", "/returns/long", None, {"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"


def test_body_of_a_handler_is_bounded(served, call, workers):
    tight = served({"m": MODEL}, workers, max_body_size=1000)
    for path in ("/bytes", "/request"):
        status, _, body = call(tight, "POST", path, b"x" * 1001, {"X-Tenant": "x"})
        assert (status, json.loads(body)) == (
            413,
            {"error": "the request body is larger than max_body_size (1000 bytes)"},
        )
    headers = {"X-Tenant": "x", "Content-Encoding": "gzip"}
    status, _, body = call(tight, "POST", "/request", b"no gzip", headers)
    assert (status, list(json.loads(body))) == (400, ["error"])


def test_handlers_come_and_go_with_their_model(served, call, workers):
    server = served({"m": MODEL}, workers)
    assert call(server, "GET", "/sync/x")[0] == 200
    assert call(server, "POST", "/v2/repository/models/m/unload")[0] == 200
    assert call(server, "GET", "/sync/x")[0] == 404
    assert call(server, "POST", "/v2/repository/models/m/load")[0] == 200
    assert call(server, "GET", "/sync/x")[0] == 200


def test_documentation_lists_them(ask):
    _, document = ask("GET", "/v2/docs/dataplane.json")
    assert set(document["paths"]["/both"]) == {"get", "post"}
    assert document["paths"]["/files/{path}"]["get"]["summary"] == "files of model m"


def test_of_two_models_with_one_path_the_second_does_not_load(
    serve, model_folder, tmp_path, call, workers
):
    for name in ("one", "two"):
        model_folder(name, SAME_PATH, implementation="models.Model", parallel_workers=workers)
    server = serve(tmp_path, "--set", "on_load_error=serve")
    items = json.loads(call(server, "POST", "/v2/repository/index", {})[2])
    loaded, refused = sorted(items, key=lambda item: item["state"])
    assert (loaded["state"], refused["state"]) == ("READY", "UNAVAILABLE")
    assert "/same" in refused["reason"]
    assert call(server, "GET", "/same")[2].decode() == loaded["name"]


SAME_PATH = """
from mlserver_core import MLModel, custom_handler

class Model(MLModel):
    @custom_handler(rest_path="/same", rest_method="GET")
    async def same(self):
        return self.name
"""
