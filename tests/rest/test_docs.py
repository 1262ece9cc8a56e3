from __future__ import annotations

import http.client
import json

import pytest
from openapi_spec_validator import validate

PAGES = [
    ("/v2/docs", "Data Plane"),
    ("/v2/models/sum/docs", "Data Plane for Model sum"),
    ("/v2/models/sum/versions/v1/docs", "Data Plane for Model sum (v1)"),
    ("/v2/models/echo/docs", "Data Plane for Model echo"),
    ("/v2/models/versioned/versions/v2/docs", "Data Plane for Model versioned (v2)"),
    ("/v2/models/words/docs", "Data Plane for Model words"),
]
WORDS = {"inputs": [{"name": "words", "datatype": "BYTES", "shape": [-1]}]}


@pytest.fixture(scope="module")
def server(module_server, models_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("documented")
    for name in ("echo", "sum", "versioned-2"):
        (folder / name).symlink_to(models_folder / name)
    settings = {"name": "words", "implementation": "echo", **WORDS}
    (folder / "words").mkdir()
    (folder / "words/model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return module_server(folder)


@pytest.fixture
def plain_server(serve, tmp_path, models_folder):
    """As where the extra ``docs`` is not installed; a proxy strips ``/ml``."""
    hidden = tmp_path / "hidden" / "flask_swagger_ui"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    return serve(models_folder, PYTHONPATH=str(hidden.parent), MLSERVER_ROOT_PATH="/ml/")


def get(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(("path", "title"), PAGES)
def test_document_is_valid_openapi_with_its_title(server, path, title):
    status, headers, body = get(server, path + "/dataplane.json")
    document = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert document["info"]["title"] == title
    validate(document)


def test_w59_repository_calls_are_documented(server):
    paths = json.loads(get(server, "/v2/docs/dataplane.json")[2])["paths"]
    assert "post" in paths["/v2/repository/index"]
    assert "post" in paths["/v2/repository/models/{model_name}/load"]
    assert "post" in paths["/v2/repository/models/{model_name}/unload"]


def test_w59_model_document_has_the_tensors_of_its_metadata(server):
    document = json.loads(get(server, "/v2/models/sum/docs/dataplane.json")[2])
    tensor = document["components"]["schemas"]["RequestInput"]["properties"]
    assert tensor["name"]["enum"] == ["x"]
    assert tensor["datatype"]["enum"] == ["FP64"]
    assert tensor["shape"]["maxItems"] == 2
    output = document["components"]["schemas"]["ResponseOutput"]["properties"]
    assert output["name"]["enum"] == ["total"]


@pytest.mark.parametrize("model", ["sum", "echo", "words"])
def test_example_of_a_model_can_be_sent_as_it_is(server, model):
    document = json.loads(get(server, f"/v2/models/{model}/docs/dataplane.json")[2])
    path = f"/v2/models/{model}/infer"
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    connection.request("POST", path, json.dumps(body))
    assert connection.getresponse().status == 200
    connection.close()


def test_openapi_json_is_the_document_of_the_server(server):
    assert get(server, "/openapi.json")[2] == get(server, "/v2/docs/dataplane.json")[2]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v2/models/nope/docs", "Model nope not found"),
        ("/v2/models/nope/docs/dataplane.json", "Model nope not found"),
        ("/v2/models/sum/versions/9/docs", "Model sum with version 9 not found"),
        ("/v2/models/sum/versions/9/docs/dataplane.json", "Model sum with version 9 not found"),
    ],
)
def test_unknown_model_is_a_404_with_the_error_object(server, path, error):
    status, _, body = get(server, path)
    assert (status, json.loads(body)) == (404, {"error": error})


@pytest.mark.parametrize(("path", "title"), PAGES)
def test_page_loads_and_runs_only_what_this_server_has(server, path, title):
    status, headers, body = get(server, path)
    page = body.decode()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert f"<title>{title} - mlserver-core</title>" in page
    assert f'data-document="{path}/dataplane.json"' in page
    assert "//" not in page.replace("<!DOCTYPE", "")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; connect-src 'self'; ")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("docs.css", "text/css"),
        ("docs.js", "text/javascript"),
    ],
)
def test_files_of_the_page_may_be_kept_for_an_hour(server, name, media):
    path = f"/v2/docs/static/{name}"
    status, headers, body = get(server, path)
    assert status == 200
    assert body
    assert headers["Content-Type"] == media + "; charset=utf-8"
    assert headers["Cache-Control"] == "public, max-age=3600"
    assert headers["X-Content-Type-Options"] == "nosniff"
    again = {"If-None-Match": headers["ETag"]}
    assert get(server, path, **again)[::2] == (304, b"")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "index.html",
        "swagger-ui.js",
        "../docs.py",
        "..%2fdocs.py",
        "%2e%2e%2fdocs.py",
        "..%5cdocs.py",
        "%2e%2e/%2e%2e/docs",
        "docs.js%00",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        ".%2fdocs.js",
        "DOCS.JS",
    ],
)
def test_no_other_file_can_be_had(server, name):
    status, _, body = get(server, f"/v2/docs/static/{name}")
    assert status in (400, 404)
    assert "error" in json.loads(body)


@pytest.mark.parametrize("path", ["/v2/docs", "/v2/docs/dataplane.json", "/v2/docs/static/docs.js"])
def test_head_works_too(server, path):
    status, headers, body = get(server, path, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_without_the_extra_the_page_lists_the_calls_and_says_how_to_get_more(plain_server):
    status, headers, body = get(plain_server, "/v2/models/sum/docs")
    page = body.decode()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<code>/ml/v2/models/sum/infer</code>" in page
    assert "pip install 'mlserver-core[docs]'" in page
    assert 'href="/ml/v2/models/sum/docs/dataplane.json"' in page
    assert "<script" not in page
    assert get(plain_server, "/v2/docs/static/swagger-ui-bundle.js")[0] == 404


def test_w59_root_path_stands_in_front_of_every_link(serve, models_folder):
    server = serve(models_folder, MLSERVER_ROOT_PATH="ml/a/")
    page = get(server, "/v2/docs")[2].decode()
    links = [part.split('"')[0] for part in page.replace("src=", "href=").split('href="')[1:]]
    assert links.count("data:,") == 1
    assert len(links) == 6
    assert all(link.startswith("/ml/a/v2/docs/") for link in links if link != "data:,")
    document = json.loads(get(server, "/v2/docs/dataplane.json")[2])
    assert document["servers"] == [{"url": "/ml/a"}]
