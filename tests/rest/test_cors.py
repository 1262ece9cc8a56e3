from __future__ import annotations

import json

import pytest

from mlserver_core.settings.server import CORSSettings

PAGE = "https://page.example"
INFER = "/v2/models/m/infer"
STREAM = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    async def predict_stream(self, payloads):
        yield InferenceResponse(outputs=[])
"""


@pytest.fixture(scope="module")
def allowing(served):
    """Servers by their cross-origin rules, each started once."""
    servers = {}

    def start(**rules):
        key = json.dumps(rules)
        if key not in servers:
            servers[key] = served({"m": None, "s": STREAM}, cors_settings=rules)
        return servers[key]

    return start


@pytest.fixture
def preflight(call):
    """What a browser asks before a call."""

    def ask(server, method="POST", headers=None, origin=PAGE):
        sent = {"Origin": origin, "Access-Control-Request-Method": method}
        if headers is not None:
            sent["Access-Control-Request-Headers"] = headers
        return call(server, "OPTIONS", INFER, None, sent)

    return ask


def said(headers):
    """The cross-origin headers of an answer, without their common beginning."""
    start = "access-control-"
    return {
        name.lower().removeprefix(start): value
        for name, value in headers.items()
        if name.lower().startswith(start)
    }


def test_origins_alone_are_enough_for_inference_from_a_page(allowing, call, preflight):
    server = allowing(allow_origins=[PAGE])
    status, headers, _ = preflight(
        server, headers="content-type,inference-header-content-length,x-request-id"
    )
    assert status == 200
    assert said(headers) == {
        "allow-origin": PAGE,
        "allow-methods": "GET, HEAD, POST, OPTIONS",
        "allow-headers": "Accept, Accept-Language, Content-Language, Content-Type, "
        "Inference-Header-Content-Length, X-Request-ID, X-Request-Timeout",
        "max-age": "600",
    }
    status, headers, _ = call(server, "POST", INFER, {"inputs": []}, {"Origin": PAGE})
    assert status == 200
    assert said(headers) == {
        "allow-origin": PAGE,
        "expose-headers": "Inference-Header-Content-Length, X-Request-ID",
    }
    assert headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/nope", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/v2", 405),
        ("POST", INFER, 400),
        ("GET", "/v2/", 307),
        ("POST", "/v2/models/s/infer_stream", 200),
    ],
)
def test_errors_redirects_and_streams_can_be_read_by_the_page(allowing, call, method, path, status):
    body = {"inputs": []} if status == 200 else None
    server = allowing(allow_origins=[PAGE])
    got, headers, _ = call(server, method, path, body, {"Origin": PAGE})
    assert (got, headers["Access-Control-Allow-Origin"]) == (status, PAGE)


@pytest.mark.parametrize("origin", ["https://other.example", "null", PAGE + ".evil.example"])
def test_other_pages_are_told_nothing(allowing, call, preflight, origin):
    server = allowing(allow_origins=[PAGE])
    status, headers, body = preflight(server, origin=origin)
    assert (status, said(headers)) == (400, {})
    assert json.loads(body) == {
        "error": f"cross-origin requests: the origin {origin!r} is not allowed; the operator can "
        "allow it with allow_origins in cors_settings"
    }
    status, headers, _ = call(server, "POST", INFER, {"inputs": []}, {"Origin": origin})
    assert (status, said(headers), headers["Vary"]) == (200, {}, "Origin")


def test_call_without_an_origin_is_not_cross_origin(allowing, call):
    server = allowing(allow_origins=[PAGE])
    status, headers, _ = call(server, "GET", "/v2")
    assert (status, said(headers), headers["Vary"]) == (200, {}, "Origin")
    assert call(server, "OPTIONS", INFER)[0] == 405


def test_all_origins_are_a_star_which_caches_may_share(allowing, call, preflight):
    server = allowing(allow_origins=["*"])
    assert preflight(server)[1]["Access-Control-Allow-Origin"] == "*"
    _, headers, _ = call(server, "GET", "/v2", None, {"Origin": PAGE})
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in headers


def test_star_is_never_sent_with_credentials(allowing, call, preflight):
    server = allowing(
        allow_origins=["*"],
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["*"],
    )
    _, asked, _ = preflight(server, method="PUT", headers="X-One, X-Two")
    _, called, _ = call(server, "GET", "/v2", None, {"Origin": PAGE})
    assert said(asked) == {
        "allow-origin": PAGE,
        "allow-credentials": "true",
        "allow-methods": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        "allow-headers": "X-One, X-Two",
        "max-age": "600",
    }
    assert said(called)["allow-origin"] == PAGE
    assert said(called)["allow-credentials"] == "true"
    assert "X-Request-ID" in said(called)["expose-headers"]
    assert "*" not in str([*said(asked).values(), *said(called).values()])
    for headers in (asked, called):
        assert "Origin" in headers["Vary"]


def test_every_rule_is_followed(allowing, call, preflight):
    server = allowing(
        allow_origin_regex=r"https://\w+\.example",
        allow_methods=["GET"],
        allow_headers=["X-Tenant"],
        expose_headers=["Ce-Id"],
        max_age=7,
    )
    status, headers, _ = preflight(server, method="GET", headers="x-tenant, Content-Type")
    assert status == 200
    assert said(headers)["max-age"] == "7"
    assert said(headers)["allow-methods"] == "GET"
    assert said(headers)["allow-headers"].endswith(", X-Tenant")
    status, headers, body = preflight(server, method="POST")
    assert status == 400
    assert "the method 'POST' is not allowed" in json.loads(body)["error"]
    status, _, body = preflight(server, method="GET", headers="x-other")
    assert status == 400
    assert "the header 'x-other' is not allowed" in json.loads(body)["error"]
    _, headers, _ = call(server, "GET", "/v2", None, {"Origin": PAGE})
    assert headers["Access-Control-Expose-Headers"] == "Ce-Id"
    # The expression has to match all of the origin.
    assert preflight(server, method="GET", origin=PAGE + ".evil.org")[0] == 400
    assert preflight(server, method="GET", origin="http://a." + PAGE)[0] == 400


def test_without_rules_nothing_is_said(shared_server, call):
    _, headers, _ = call(shared_server, "GET", "/v2", None, {"Origin": PAGE})
    assert said(headers) == {}
    assert "Vary" not in headers
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    assert call(shared_server, "OPTIONS", "/v2/models/echo/infer", None, headers)[0] == 405


def test_compressed_answer_varies_by_both(allowing, call):
    server = allowing(allow_origins=[PAGE])
    headers = {"Origin": PAGE, "Accept-Encoding": "gzip"}
    _, got, _ = call(server, "GET", "/" + "x" * 600, None, headers)
    assert got["Vary"] == "Accept-Encoding, Origin"


def test_expression_that_is_none_is_a_problem_of_the_settings():
    with pytest.raises(ValueError, match="expected a regular expression, got '\\('"):
        CORSSettings(allow_origin_regex="(")
