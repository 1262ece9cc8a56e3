"""Where options lead."""

from __future__ import annotations

import pytest

from mlserver_core.cli.inference.options import Options
from mlserver_core.errors import InvalidRequest


def options(**values):
    return Options(model_name="m", **values)


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, "http://localhost:8080/v2/models/m/infer"),
        ({"url": "h:1"}, "http://h:1/v2/models/m/infer"),
        ({"url": "h"}, "http://h/v2/models/m/infer"),
        ({"url": "[::1]:1"}, "http://[::1]:1/v2/models/m/infer"),
        ({"url": "http://h:1/gate/way/"}, "http://h:1/gate/way/v2/models/m/infer"),
        ({"url": "h:1", "use_ssl": True}, "https://h:1/v2/models/m/infer"),
        ({"url": "https://h"}, "https://h/v2/models/m/infer"),
        ({"model_version": "v 1/2"}, "http://localhost:8080/v2/models/m/versions/v%201%2F2/infer"),
    ],
)
def test_rest_posts_to_the_models_inference_route(values, url):
    assert options(**values).infer_url() == url


def test_a_models_name_is_quoted():
    assert Options(model_name="a/b ü").infer_url().endswith("/v2/models/a%2Fb%20%C3%BC/infer")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("", ("localhost", 8081)),
        ("h:1", ("h", 1)),
        ("grpc://h:1", ("h", 1)),
        ("[::1]:1", ("::1", 1)),
    ],
)
def test_grpc_connects_to_host_and_port(url, address):
    assert options(url=url, transport="grpc").grpc_address() == address


@pytest.mark.parametrize("url", ["h", "h:1/path"])
def test_grpc_needs_host_and_port_and_nothing_else(url):
    with pytest.raises(InvalidRequest, match="expected HOST:PORT as URL for gRPC"):
        options(url=url, transport="grpc").grpc_address()


@pytest.mark.parametrize("url", [":1", "h:port", "h:99999", "h:1?a=b", "[::1", "http://"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(InvalidRequest, match="URL"):
        options(url=url).infer_url()


@pytest.mark.parametrize(
    ("url", "use_ssl", "secure"),
    [
        ("h:1", False, False),
        ("h:1", True, True),
        ("https://h", False, True),
        ("grpcs://h:1", False, True),
    ],
)
def test_tls_is_asked_for_by_option_or_scheme(url, use_ssl, secure):
    assert options(url=url, use_ssl=use_ssl).secure() is secure


def test_header_values_keep_their_colons():
    given = ("X-Url: http://h:1/a", "x-b:c", "X-Empty:")
    assert options(request_headers=given).headers() == {
        "x-url": "http://h:1/a",
        "x-b": "c",
        "x-empty": "",
    }


@pytest.mark.parametrize("header", ["no colon", ": v", "a b: v", "ü: v", "a: ü", "a: b\r\nc: d"])
def test_what_is_no_header_is_refused(header):
    with pytest.raises(InvalidRequest, match="header"):
        options(request_headers=(header,)).headers()
