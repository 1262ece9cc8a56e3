"""Merging requests that agree, and splitting the answer by rows."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.cli.inference.merging import merge, split, to_mergeable
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest, InferenceResponse


def request_of(rows, *, id="1", datatype="FP64", width=2, **more):
    tensor = {"name": "x", "shape": [rows, width], "datatype": datatype}
    tensor["data"] = [[float(row)] * width for row in range(rows)]
    return {"id": id, "inputs": [tensor], **more}


def mergeable(plain):
    return to_mergeable(InferenceRequest.model_validate(copy.deepcopy(plain)))


def echoed(request):
    return InferenceResponse(
        model_name="m",
        outputs=[
            {"name": each.name, "shape": each.shape, "datatype": each.datatype, "data": each.data}
            for each in request.inputs
        ],
    )


numbers = st.floats(width=32, allow_nan=False)
texts = st.text(max_size=3)


@st.composite
def agreeing_requests(draw):
    """Requests of one to three rows each, with a number tensor and a text tensor."""
    width = draw(st.integers(0, 3))
    made = []
    for rows in draw(st.lists(st.integers(1, 3), min_size=1, max_size=5)):
        data = draw(st.lists(numbers, min_size=rows * width, max_size=rows * width))
        words = draw(st.lists(texts, min_size=rows, max_size=rows))
        inputs = [
            {"name": "x", "shape": [rows, width], "datatype": "FP32", "data": data},
            {"name": "t", "shape": [rows], "datatype": "BYTES", "data": words},
        ]
        made.append({"id": str(len(made)), "inputs": inputs})
    return made


@given(agreeing_requests())
def test_merged_lines_are_split_by_rows_not_by_requests(requests):
    parts = [mergeable(each) for each in requests]
    assert len({part.key for part in parts}) == 1
    merged = merge(parts)
    assert {tensor.shape[0] for tensor in merged.inputs} == {sum(part.rows for part in parts)}
    answers = split(echoed(merged), parts)
    assert [answer.id for answer in answers] == [each["id"] for each in requests]
    for answer, asked in zip(answers, requests, strict=True):
        for output, sent in zip(answer.outputs, asked["inputs"], strict=True):
            assert (output.name, output.shape) == (sent["name"], sent["shape"])
            assert list(output.data) == sent["data"]


def test_null_is_still_nan_in_a_merged_request():
    plain = request_of(1)
    plain["inputs"][0]["data"] = [None, 1]
    (tensor,) = merge([mergeable(plain), mergeable(request_of(1))]).inputs
    np.testing.assert_array_equal(tensor.data.root, [np.nan, 1, 0, 0])


def test_what_the_requests_have_in_common_is_sent():
    more = {"parameters": {"content_type": "np"}, "outputs": [{"name": "y"}]}
    merged = merge([mergeable(request_of(1, **more)), mergeable(request_of(2, id="2", **more))])
    assert merged.parameters.content_type == "np"
    assert [output.name for output in merged.outputs] == ["y"]
    assert merged.id is None


def test_requests_agree_whatever_their_ids_and_rows():
    assert mergeable(request_of(1)).key == mergeable(request_of(2, id="2")).key


def renamed(plain, **values):
    plain = copy.deepcopy(plain)
    plain["inputs"][0].update(values)
    return plain


@pytest.mark.parametrize(
    "other",
    [
        request_of(1, width=3),
        request_of(1, datatype="FP32"),
        renamed(request_of(1), name="y"),
        renamed(request_of(1), parameters={"content_type": "np"}),
        request_of(1, parameters={"a": 1}),
        request_of(1, outputs=[{"name": "y"}]),
        request_of(1, outputs=[{"name": "y", "parameters": {"binary_data": False}}]),
        {"id": "1", "inputs": request_of(1)["inputs"] * 2},
    ],
)
def test_requests_that_differ_in_anything_else_do_not_agree(other):
    assert mergeable(other).key != mergeable(request_of(1)).key


def test_the_order_of_parameters_is_no_difference():
    first, second = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    keys = [mergeable(request_of(1, parameters=each)).key for each in (first, second)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "plain",
    [
        {"inputs": []},
        request_of(0),
        {"inputs": [{"name": "x", "shape": [], "datatype": "FP64", "data": [1]}]},
        {"inputs": request_of(1)["inputs"] + request_of(2)["inputs"]},
        renamed(request_of(1), data=[1]),
        renamed(request_of(1), data=["a", "b"]),
        renamed(request_of(1), shape=[-1, 2]),
        {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "BYTES", "data": ["one"]}]},
    ],
)
def test_a_request_without_rows_of_its_own_goes_alone(plain):
    assert mergeable(plain) is None


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [{"name": "y", "shape": [2], "datatype": "INT8", "data": [1, 2]}],
        [{"name": "y", "shape": [], "datatype": "INT8", "data": [1]}],
        [{"name": "y", "shape": [3], "datatype": "INT8", "data": [1, 2]}],
        [{"name": "y", "shape": [3], "datatype": "BYTES", "data": ["a"]}],
        [
            {"name": "y", "shape": [3], "datatype": "INT8", "data": [1, 2, 3]},
            {"name": "z", "shape": [1], "datatype": "INT8", "data": [1]},
        ],
    ],
)
def test_an_answer_without_a_row_for_each_row_is_not_split(outputs):
    parts = [mergeable(request_of(1)), mergeable(request_of(2))]
    with pytest.raises(InvalidRequest):
        split(InferenceResponse(outputs=outputs), parts)


def test_parameters_of_the_answer_are_in_each_part_and_each_has_its_own():
    parts = [mergeable(request_of(1)), mergeable(request_of(1, id="2"))]
    output = {"name": "y", "shape": [2], "datatype": "INT8", "data": [1, 2]}
    output["parameters"] = {"content_type": "np"}
    merged = InferenceResponse(
        model_name="m", model_version="v1", parameters={"a": 1}, outputs=[output]
    )
    first, second = split(merged, parts)
    first.parameters.model_extra["a"] = 2
    first.outputs[0].parameters.content_type = "base64"
    assert second.parameters.a == 1
    assert second.outputs[0].parameters.content_type == "np"
    assert (second.model_name, second.model_version) == ("m", "v1")
