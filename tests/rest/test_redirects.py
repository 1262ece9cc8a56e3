from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("method", "path", "location"),
    [
        ("GET", "/v2/", "/v2"),
        ("HEAD", "/v2/health/live/", "/v2/health/live"),
        ("POST", "/v2/models/echo/infer/", "/v2/models/echo/infer"),
        ("POST", "/v2/models/echo/infer///", "/v2/models/echo/infer"),
        ("GET", "/v2/models/echo/?a=b%20c&d", "/v2/models/echo?a=b%20c&d"),
        ("GET", "/v2/models/a%2Fb/", "/v2/models/a%2Fb"),
        ("POST", "/v2/health/live/", "/v2/health/live"),
    ],
)
def test_slash_at_the_end_leads_to_the_path_without_it(shared_server, call, method, path, location):
    status, headers, body = call(shared_server, method, path)
    assert (status, headers["Location"], body) == (307, location, b"")


@pytest.mark.parametrize("path", ["/", "//", "/nowhere/", "//v2/", "//example.com/v2/"])
def test_slash_at_the_end_of_nothing_is_not_found(shared_server, call, path):
    status, headers, body = call(shared_server, "GET", path)
    assert status == 404
    assert "Location" not in headers
    assert list(json.loads(body)) == ["error"]


def test_redirect_has_the_prefix_that_a_proxy_strips(serve, models_folder, call):
    server = serve(models_folder, "--set", "root_path=/inference")
    assert call(server, "GET", "/v2/")[1]["Location"] == "/inference/v2"
