from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from jsonschema import Draft202012Validator

from mlserver_core import types
from mlserver_core.rest.openapi.schemas import make_components, schema_of
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    RepositoryIndexResponseItem,
    RequestInput,
)
from mlserver_core.types.open_names import known_names

CORPUS = sorted((Path(__file__).parents[2] / "corpus").glob("[!e]*.json"))
CORPUS += sorted((Path(__file__).parents[2] / "corpus").glob("echo-*.json"))


def validator(annotation):
    components = {"components": {"schemas": make_components([annotation])}}
    return Draft202012Validator({**schema_of(annotation), **components})


@pytest.mark.parametrize("cls", [getattr(types, name) for name in types.__all__])
def test_schema_has_every_field_of_a_type_and_requires_those_without_a_default(cls):
    schema = make_components([cls])[cls.__name__]
    if schema["type" if "type" in schema else "anyOf"] == "object":
        assert list(schema["properties"]) == list(known_names(cls))
        required = [each.name for each in attrs.fields(cls) if each.default is attrs.NOTHING]
        assert schema.get("required", []) == required
    assert schema["description"]


def test_reached_types_are_components_too_and_every_reference_leads_to_one():
    made = make_components([InferenceRequest])
    assert list(made) == [
        "Datatype",
        "InferenceRequest",
        "Parameters",
        "RequestInput",
        "RequestOutput",
        "TensorData",
    ]
    names = json.dumps(made).split("#/components/schemas/")[1:]
    assert {name.split('"')[0] for name in names} == set(made) - {"InferenceRequest"}


def test_descriptions_are_those_of_the_docstrings():
    schema = make_components([RequestInput])["RequestInput"]
    assert schema["description"] == "One input tensor."
    assert schema["properties"]["shape"] == {
        "type": "array",
        "items": {"type": "integer"},
        "description": "the size of each dimension, none negative.",
    }
    assert schema["properties"]["parameters"]["description"] == "such as `content_type`."


def test_description_that_goes_on_for_lines_is_one_text():
    text = make_components([Parameters])["Parameters"]["properties"]["headers"]["description"]
    assert text == (
        "HTTP headers or gRPC metadata; the server fills it on requests and sends it as headers "
        "on responses."
    )


def test_optional_values_may_be_null():
    assert schema_of(str | None) == {"type": ["string", "null"]}
    assert schema_of(Parameters | None) == {
        "anyOf": [{"$ref": "#/components/schemas/Parameters"}, {"type": "null"}]
    }


def test_parameters_take_any_other_name():
    schema = make_components([Parameters])["Parameters"]
    assert schema["additionalProperties"] is True
    assert list(schema["properties"]) == ["content_type", "headers"]


def test_annotation_without_a_schema_is_refused():
    with pytest.raises(TypeError, match=r"no schema is known for .*complex"):
        schema_of(complex)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_good_requests_and_answers_of_the_corpus_fit(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    validator(InferenceRequest).validate(case["request"])
    validator(InferenceResponse).validate(case["answer"])


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (InferenceRequest, {}),
        (InferenceRequest, {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}),
        (
            InferenceRequest,
            {"inputs": [{"name": "x", "shape": [1], "datatype": "FLOAT", "data": [1]}]},
        ),
        (InferenceResponse, {"outputs": None}),
        (MetadataTensor, {"name": "x", "datatype": "FP32", "shape": [1.5]}),
        (list[RepositoryIndexResponseItem], {"name": "m"}),
    ],
)
def test_what_is_no_such_type_does_not_fit(annotation, value):
    assert not validator(annotation).is_valid(value)
