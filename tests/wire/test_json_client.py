"""The client's side of JSON bodies."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest
from mlserver_core.wire.json import decode_request
from mlserver_core.wire.json_client import decode_response, encode_request

FULL = {
    "id": "1",
    "parameters": {"content_type": "np", "mine": [1, {"deep": None}]},
    "inputs": [
        {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [[1.5, None]]},
        {
            "name": "y",
            "shape": [1],
            "datatype": "BYTES",
            "parameters": {"content_type": "str"},
            "data": ["Grüße"],
        },
    ],
    "outputs": [{"name": "z", "parameters": {"binary_data": False}}, {"name": "w"}],
}


@pytest.mark.parametrize("plain", [FULL, {"inputs": []}])
def test_a_request_is_sent_as_it_was_read(plain):
    assert json.loads(encode_request(InferenceRequest.model_validate(plain))) == plain


def test_arrays_are_sent_as_lists_and_understood_by_the_server():
    tensor = {"name": "x", "shape": [2, 1], "datatype": "FP32", "data": np.float32([0.1, np.nan])}
    body = encode_request(InferenceRequest(inputs=[tensor]))
    assert json.loads(body)["inputs"][0]["data"] == [0.1, None]
    assert decode_request(body, {}).inputs[0].shape == [2, 1]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html>", "no valid JSON: "),
        (b"{}", "outputs: required, but missing"),
        (b'{"outputs": [{"name": "y"}]}', "outputs[0].datatype: required, but missing"),
    ],
)
def test_an_answer_that_is_no_response_is_refused(body, text):
    with pytest.raises(InvalidRequest) as refused:
        decode_response(body)
    assert text in str(refused.value)


def test_an_answer_is_read():
    output = {"name": "y", "shape": [2], "datatype": "INT8", "data": [1, 2]}
    response = decode_response(json.dumps({"model_name": "m", "outputs": [output]}).encode())
    assert response.model_name == "m"
    assert response.outputs[0].data == [1, 2]
