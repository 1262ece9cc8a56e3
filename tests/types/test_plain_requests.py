"""Requests that are made at a glance are those that the converter makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Datatype, InferenceRequest
from mlserver_core.types.converter import structure
from mlserver_core.types.plain_requests import to_plain_request

TENSOR = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1.5]}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
parameters = values | st.dictionaries(
    st.sampled_from(["content_type", "headers", "model_extra", "binary_data", "a"]), values
)
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text() | values,
        "shape": st.lists(st.integers()) | values,
        "datatype": st.sampled_from([each.value for each in Datatype]) | values,
        "parameters": parameters,
        "data": values,
        "other": values,
    },
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text() | values,
        "parameters": parameters,
        "inputs": st.lists(tensors) | values,
        "outputs": st.none() | values,
        "other": values,
    },
)


@given(requests | values)
def test_what_is_made_at_a_glance_is_what_the_converter_makes(value):
    made = to_plain_request(value)
    if made is not None:
        assert made.model_dump() == structure(value, InferenceRequest).model_dump()


@pytest.mark.parametrize(
    "value",
    [
        {"inputs": []},
        {"inputs": [TENSOR]},
        {"id": "1", "inputs": [TENSOR], "outputs": None, "more": 1},
        {"parameters": {"content_type": "np", "a": 1}, "inputs": [TENSOR]},
        {"inputs": [{**TENSOR, "parameters": {"content_type": "np", "a": [1]}}, TENSOR]},
    ],
)
def test_usual_requests_are_made_at_a_glance(value):
    made = to_plain_request(value)
    assert made == structure(value, InferenceRequest)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 1},
        {"shape": [True]},
        {"shape": [1.0]},
        {"datatype": "FP99"},
        {"datatype": ["FP32"]},
        {"parameters": []},
        {"parameters": {"content_type": 1}},
    ],
)
def test_mistakes_are_left_to_the_converter_which_explains_them(change):
    value = {"inputs": [{**TENSOR, **change}]}
    assert to_plain_request(value) is None
    with pytest.raises(InvalidRequest):
        structure(value, InferenceRequest)


def test_a_requests_parameters_are_not_those_of_the_body():
    value = {"parameters": {"a": 1}, "inputs": []}
    made = to_plain_request(value)
    made.parameters.b = 2
    assert value == {"parameters": {"a": 1}, "inputs": []}
