"""The client's side of the binary tensor data extension."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Datatype, InferenceRequest
from mlserver_core.types.datatypes import to_dtype
from mlserver_core.wire.binary_client import decode_binary_response, encode_binary_request

D = Datatype
NUMBERS = [each for each in D if each not in (D.BYTES, D.BF16)]  # numpy draws no bfloat16


def numbers(datatype):
    shapes = nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    arrays = nps.arrays(to_dtype(datatype), shapes)
    return arrays.map(lambda array: (datatype, list(array.shape), array))


def texts(elements):
    return D.BYTES, [len(elements)], elements


TENSORS = st.lists(
    st.one_of(
        st.sampled_from(NUMBERS).flatmap(numbers),
        st.lists(st.binary(max_size=5), max_size=4).map(texts),
    ),
    max_size=3,
)


def named(tensors):
    return [
        {"name": f"x{index}", "shape": shape, "datatype": datatype, "data": data}
        for index, (datatype, shape, data) in enumerate(tensors)
    ]


def answered(body, length):
    """A server's answer: the inputs of a body, as outputs."""
    head = json.loads(body[:length])
    head = {"model_name": "m", "outputs": head["inputs"]}
    text = json.dumps(head).encode()
    return text + body[length:], str(len(text))


@given(TENSORS)
def test_what_is_sent_binary_and_comes_back_is_the_same(tensors):
    request = InferenceRequest(inputs=named(tensors))
    response = decode_binary_response(*answered(*encode_binary_request(request)))
    assert len(response.outputs) == len(tensors)
    for output, (datatype, shape, data) in zip(response.outputs, tensors, strict=True):
        assert (output.datatype, output.shape, output.parameters) == (datatype, shape, None)
        if datatype is D.BYTES:
            assert output.data.root == data
        else:
            assert output.data.root.dtype == data.dtype
            np.testing.assert_array_equal(output.data.root, data.reshape(-1))


def test_a_request_is_json_and_then_the_buffers():
    request = InferenceRequest(
        id="1",
        inputs=[
            {
                "name": "x",
                "shape": [2],
                "datatype": "UINT16",
                "parameters": {"content_type": "np"},
                "data": [1, 258],
            },
            {"name": "y", "shape": [1], "datatype": "BYTES", "data": ["ab"]},
        ],
    )
    body, length = encode_binary_request(request)
    assert json.loads(body[:length]) == {
        "id": "1",
        "parameters": {"binary_data_output": True},
        "inputs": [
            {
                "name": "x",
                "shape": [2],
                "datatype": "UINT16",
                "parameters": {"content_type": "np", "binary_data_size": 4},
            },
            {
                "name": "y",
                "shape": [1],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": 6},
            },
        ],
    }
    assert body[length:] == b"\1\0\2\1" + b"\2\0\0\0ab"


def test_a_request_that_wants_text_outputs_gets_them():
    request = InferenceRequest(inputs=[], parameters={"binary_data_output": False})
    body, length = encode_binary_request(request)
    assert json.loads(body[:length])["parameters"] == {"binary_data_output": False}


def test_an_answer_without_the_header_is_json():
    output = {"name": "y", "shape": [1], "datatype": "FP64", "data": [1.5]}
    body = json.dumps({"model_name": "m", "outputs": [output]}).encode()
    assert decode_binary_response(body, None).outputs[0].data == [1.5]


def test_binary_and_json_outputs_may_mix():
    outputs = [
        {"name": "a", "shape": [1], "datatype": "INT8", "data": [7]},
        {
            "name": "b",
            "shape": [1],
            "datatype": "INT8",
            "parameters": {"binary_data_size": 1, "mine": 1},
        },
    ]
    head = json.dumps({"outputs": outputs}).encode()
    response = decode_binary_response(head + b"\x08", str(len(head)))
    assert [list(output.data) for output in response.outputs] == [[7], [8]]
    assert response.outputs[1].parameters.to_plain() == {"mine": 1}


@pytest.mark.parametrize(
    ("size", "length", "rest", "text"),
    [
        (2, None, b"\1\0", None),
        (2, "-1", b"\1\0", "Inference-Header-Content-Length, got '-1'"),
        (2, "9999", b"\1\0", "Inference-Header-Content-Length, got '9999'"),
        (2, None, b"\1", "expects 2 bytes, got 1"),
        (2, None, b"\1\0\0", "announce 2 bytes of binary data, got 3"),
        (3, None, b"\1\0\0", "expects 2 bytes, got 3"),
        ("2", None, b"\1\0", "output 'y': expected bytes as binary_data_size, got '2'"),
        (-1, None, b"\1\0", "output 'y': expected bytes as binary_data_size, got -1"),
    ],
)
def test_an_answer_whose_parts_do_not_fit_is_refused(size, length, rest, text):
    output = {
        "name": "y",
        "shape": [1],
        "datatype": "INT16",
        "parameters": {"binary_data_size": size},
    }
    head = json.dumps({"outputs": [output]}).encode()
    if text is None:
        assert decode_binary_response(head + rest, length or str(len(head))).outputs[0].data == [1]
        return
    with pytest.raises(InvalidRequest) as refused:
        decode_binary_response(head + rest, length or str(len(head)))
    assert text in str(refused.value)


@pytest.mark.parametrize("head", [b"[]", b"{}", b'{"outputs": 1}', b'{"outputs": [1]}', b"nojson"])
def test_an_answer_whose_json_is_no_response_is_refused(head):
    with pytest.raises(InvalidRequest):
        decode_binary_response(head, str(len(head)))
