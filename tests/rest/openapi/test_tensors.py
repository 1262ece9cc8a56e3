from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mlserver_core.rest.openapi.schemas import make_components
from mlserver_core.rest.openapi.tensors import make_example, narrow
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataTensor,
)
from mlserver_core.types.tensors import to_elements

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
tensors = st.builds(
    MetadataTensor,
    name=names,
    datatype=st.sampled_from(Datatype),
    shape=st.lists(st.integers(-1, 4), max_size=4),
)
models = st.builds(
    MetadataModelResponse,
    name=st.just("m"),
    platform=st.just(""),
    inputs=st.none() | st.lists(tensors, max_size=3, unique_by=lambda each: each.name),
    outputs=st.none() | st.lists(tensors, max_size=3, unique_by=lambda each: each.name),
)


def tensor(name="x", datatype="FP32", shape=(-1, 4), **parameters):
    return MetadataTensor(
        name=name, datatype=datatype, shape=list(shape), parameters=parameters or None
    )


def validator(cls, model):
    schemas = narrow(make_components([InferenceRequest, InferenceResponse]), model)
    reference = {"$ref": f"#/components/schemas/{cls.__name__}"}
    return Draft202012Validator({**reference, "components": {"schemas": schemas}})


def model_of(inputs=None, outputs=None):
    return MetadataModelResponse(name="m", platform="", inputs=inputs, outputs=outputs)


@given(models)
def test_example_fits_the_narrowed_schema_and_what_the_server_takes(model):
    example = make_example(model.inputs)
    validator(InferenceRequest, model).validate(example)
    for each in InferenceRequest.model_validate(example).inputs:
        to_elements(each.name, each.datatype, each.shape, each.data.root)


def test_variable_dimension_is_1_in_the_example_and_data_has_as_many_elements_as_the_shape():
    assert make_example([tensor(shape=[-1, 3])]) == {
        "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 1.0, 1.0]}]
    }


@pytest.mark.parametrize(
    ("datatype", "content_type", "element"),
    [
        ("INT64", None, 1),
        ("BOOL", None, True),
        ("BYTES", None, "text"),
        ("BYTES", "str", "text"),
        ("BYTES", "base64", "dGV4dA=="),
        ("BYTES", "datetime", "2024-01-31T12:00:00"),
    ],
)
def test_example_has_elements_that_the_datatype_and_the_codec_take(datatype, content_type, element):
    example = make_example([tensor(datatype=datatype, shape=[2], content_type=content_type)])
    assert example["inputs"][0]["data"] == [element, element]


def test_example_names_some_input_where_none_is_declared():
    assert len(make_example(None)["inputs"]) == len(make_example([])["inputs"]) == 1


def test_no_example_for_a_tensor_too_long_to_show():
    assert make_example([tensor("small"), tensor("image", shape=[-1, 3, 224, 224])]) is None


def request(**changes):
    plain = {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [0.5] * 8}
    return {"inputs": [plain | changes]}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "y"},
        {"datatype": "FP64"},
        {"shape": [8]},
        {"shape": [2, 3]},
        {"shape": [-1, 4]},
        {"data": "text"},
        {"data": ["text"]},
    ],
)
def test_request_against_the_metadata_does_not_fit(changes):
    fits = validator(InferenceRequest, model_of(inputs=[tensor()])).is_valid
    assert fits(request())
    assert fits(request(data=[[0.5, None, 1, 2], [0.5] * 4]))
    assert not fits(request(**changes))


def test_several_inputs_may_come_in_any_order():
    model = model_of(inputs=[tensor("a", shape=[1]), tensor("b", "BYTES", [1])])
    a = {"name": "a", "shape": [1], "datatype": "FP32", "data": [1.0]}
    b = {"name": "b", "shape": [1], "datatype": "BYTES", "data": ["text"]}
    fits = validator(InferenceRequest, model).is_valid
    assert fits({"inputs": [a, b]})
    assert fits({"inputs": [b, a]})
    assert not fits({"inputs": [{**a, "name": "b"}]})


def test_outputs_and_those_asked_for_have_the_declared_names():
    model = model_of(outputs=[tensor("y", shape=[1]), tensor("z", shape=[1])])
    output = {"name": "y", "shape": [1], "datatype": "FP32", "data": [1.0]}
    assert validator(InferenceResponse, model).is_valid({"outputs": [output]})
    assert not validator(InferenceResponse, model).is_valid({"outputs": [{**output, "name": "x"}]})
    assert validator(InferenceRequest, model).is_valid({"inputs": [], "outputs": [{"name": "z"}]})
    assert not validator(InferenceRequest, model).is_valid(
        {"inputs": [], "outputs": [{"name": "x"}]}
    )


def test_what_is_not_declared_stays_open():
    assert validator(InferenceRequest, model_of()).is_valid(request(name="any", shape=[8]))


@pytest.mark.parametrize("shape", [[], [0], [-1], [-1, 2, -1]])
def test_shape_shows_an_example_of_its_own(shape):
    schemas = narrow(
        make_components([InferenceRequest, InferenceResponse]), model_of([tensor(shape=shape)])
    )
    schema = schemas["RequestInput"]["properties"]["shape"]
    (example,) = schema["examples"]
    Draft202012Validator(schema).validate(example)
    assert math.prod(example) == math.prod(1 if size < 0 else size for size in shape)
