from __future__ import annotations

import pytest
from openapi_spec_validator import validate

from mlserver_core.rest.openapi.document import CustomPath, Site, describe_model, describe_server
from mlserver_core.types import MetadataModelResponse, MetadataTensor

INFER = "/v2/models/{model_name}/infer"
VERSION = "/v2/models/{model_name}/versions/{model_version}/infer"
ROUTES = (("GET", "/v2"), ("POST", INFER), ("POST", VERSION), ("GET", "/nobody/described/it"))
SITE = Site(routes=ROUTES, version="1.2.3")


def model(name="m", **tensors):
    return MetadataModelResponse(name=name, platform="", **tensors)


def test_document_has_the_routes_that_are_there_and_described():
    document = describe_server(SITE)
    validate(document)
    assert list(document["paths"]) == ["/v2", INFER, VERSION]
    assert document["info"]["title"] == "Data Plane"
    assert document["info"]["version"] == "1.2.3"
    assert [tag["name"] for tag in document["tags"]] == ["inference", "server"]


def test_placeholders_are_parameters():
    operation = describe_server(SITE)["paths"][VERSION]["post"]
    assert [(each["name"], each["in"]) for each in operation["parameters"]] == [
        ("model_name", "path"),
        ("model_version", "path"),
    ]


@pytest.mark.parametrize(
    ("version", "title", "path"),
    [
        (None, "Data Plane for Model m", "/v2/models/m/infer"),
        ("v1", "Data Plane for Model m (v1)", "/v2/models/m/versions/v1/infer"),
    ],
)
def test_model_has_a_document_of_its_own_calls_with_name_and_version_filled_in(
    version, title, path
):
    document = describe_model(SITE, model(), version)
    validate(document)
    assert document["info"]["title"] == title
    assert list(document["paths"]) == [path]
    assert "parameters" not in document["paths"][path]["post"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("two words", "/v2/models/two%20words/infer"),
        ("{x}", "/v2/models/%7Bx%7D/infer"),
        ("{model_version}", "/v2/models/%7Bmodel_version%7D/infer"),
        ("größe", "/v2/models/gr%C3%B6%C3%9Fe/infer"),
    ],
)
def test_name_is_encoded_in_paths(name, path):
    document = describe_model(SITE, model(name), None)
    validate(document)
    assert list(document["paths"]) == [path]


def test_model_has_its_tensors_and_an_example():
    tensor = MetadataTensor(name="words", datatype="BYTES", shape=[-1])
    document = describe_model(SITE, model(inputs=[tensor]), None)
    validate(document)
    content = document["paths"]["/v2/models/m/infer"]["post"]["requestBody"]["content"]
    (example,) = content["application/json"]["example"]["inputs"]
    assert example == {"name": "words", "shape": [1], "datatype": "BYTES", "data": ["text"]}
    properties = document["components"]["schemas"]["RequestInput"]["properties"]
    assert properties["name"]["enum"] == ["words"]
    assert properties["datatype"]["enum"] == ["BYTES"]


def test_long_input_leaves_the_example_out():
    tensor = MetadataTensor(name="image", datatype="UINT8", shape=[224, 224, 3])
    document = describe_model(SITE, model(inputs=[tensor]), None)
    validate(document)
    content = document["paths"]["/v2/models/m/infer"]["post"]["requestBody"]["content"]
    assert "example" not in content["application/json"]


@pytest.mark.parametrize(("root", "url"), [("", "/"), ("/ml", "/ml")])
def test_server_is_where_clients_find_it(root, url):
    site = Site(routes=ROUTES, version="1", root=root)
    assert describe_server(site)["servers"] == [{"url": url}]


def test_calls_that_models_bring_along_are_listed():
    custom = (
        CustomPath(method="POST", path="/words/{language}", summary="Counts words"),
        CustomPath(method="GET", path="/words/{language}", summary="Lists words"),
    )
    document = describe_server(Site(routes=ROUTES, version="1", custom=custom))
    validate(document)
    item = document["paths"]["/words/{language}"]
    assert item["post"]["summary"] == "Counts words"
    assert item["get"]["parameters"][0]["name"] == "language"
    assert "requestBody" in item["post"]
    assert "requestBody" not in item["get"]
    assert document["tags"][-1]["name"] == "custom"


def test_streams_are_events():
    site = Site(routes=(("POST", INFER + "_stream"),), version="1")
    operation = describe_server(site)["paths"][INFER + "_stream"]["post"]
    assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]
    assert list(operation["responses"]["404"]["content"]) == ["application/json"]
