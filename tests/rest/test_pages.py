from __future__ import annotations

import pytest

from mlserver_core.rest.openapi.document import Site, describe_model, describe_server
from mlserver_core.rest.pages import interactive_page, plain_page
from mlserver_core.types import MetadataModelResponse, MetadataTensor

ROUTES = (("GET", "/v2"), ("POST", "/v2/models/{model_name}/infer"))
SITE = Site(routes=ROUTES, version="1", root="/ml")
EVIL = '<script>alert("&")</script>'


def model(name, **tensors):
    return describe_model(SITE, MetadataModelResponse(name=name, platform="", **tensors), None)


@pytest.mark.parametrize("make", [plain_page, interactive_page])
def test_names_are_text_and_never_markup(make):
    tensor = MetadataTensor(name=EVIL, datatype="FP32", shape=[1])
    page = make(model(EVIL, inputs=[tensor]), static="/static", path=f"/{EVIL}/docs")
    assert EVIL not in page
    assert "&lt;script&gt;alert(" in page


def test_plain_page_has_each_call_with_its_group_and_an_example():
    page = plain_page(describe_server(SITE), static="/ml/static", path="/ml/v2/docs")
    assert page.index("<h2>Inference</h2>") < page.index("<h2>Server</h2>")
    assert "<h2>Repository</h2>" not in page
    assert "<span>GET</span> <code>/ml/v2</code>" in page
    assert "<span>POST</span> <code>/ml/v2/models/{model_name}/infer</code>" in page
    assert "&quot;datatype&quot;: &quot;FP32&quot;" in page


def test_plain_page_shows_a_tensor_on_one_line():
    inputs = [MetadataTensor(name=name, datatype="INT8", shape=[2]) for name in "ab"]
    page = plain_page(model("m", inputs=inputs), static="/static", path="/docs")
    line = '    {"name": "a", "shape": [2], "datatype": "INT8", "data": [1, 1]},\n'
    assert line.replace('"', "&quot;") in page


def test_interactive_page_has_no_script_of_its_own():
    page = interactive_page(model("m"), static="/static", path="/docs")
    assert page.count("<script") == page.count("<script defer src=") == 2
    assert "style=" not in page
