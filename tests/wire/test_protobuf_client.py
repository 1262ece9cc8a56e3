"""The client's side of protobuf messages."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.errors import InvalidRequest
from mlserver_core.grpc.messages import load_messages
from mlserver_core.types import Datatype, InferenceRequest, InferenceResponse
from mlserver_core.types.datatypes import to_dtype
from mlserver_core.wire.protobuf import FIELDS, decode_request, encode_response
from mlserver_core.wire.protobuf_client import decode_response, encode_request

D = Datatype
NUMBERS = [each for each in D if each not in (D.BYTES, D.BF16)]  # numpy draws no bfloat16
ModelInferRequest = load_messages().get("inference.ModelInferRequest")
ModelInferResponse = load_messages().get("inference.ModelInferResponse")


def message_of(request, *, raw=False):
    message = ModelInferRequest(model_name="m")
    encode_request(InferenceRequest.model_validate(request), message, raw=raw)
    return message


def arrays(datatype):
    shapes = nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    return st.tuples(st.just(datatype), nps.arrays(to_dtype(datatype), shapes))


@given(st.sampled_from(NUMBERS).flatmap(arrays), st.booleans())
def test_numbers_reach_the_server_and_come_back(drawn, raw):
    datatype, array = drawn
    tensor = {"name": "x", "shape": list(array.shape), "datatype": datatype, "data": array}
    message = ModelInferRequest()
    encode_request(InferenceRequest(inputs=[tensor]), message, raw=raw)
    received, was_raw = decode_request(ModelInferRequest.FromString(message.SerializeToString()))
    assert was_raw is (raw or datatype not in FIELDS)
    reply = ModelInferResponse()
    output = {"name": "y", "shape": received.inputs[0].shape, "datatype": datatype}
    output["data"] = received.inputs[0].data
    encode_response(InferenceResponse(model_name="m", outputs=[output]), reply, raw=was_raw)
    (got,) = decode_response(ModelInferResponse.FromString(reply.SerializeToString())).outputs
    assert got.shape == list(array.shape)
    np.testing.assert_array_equal(got.data.root, array.reshape(-1))


@given(st.lists(st.binary(max_size=5)), st.booleans())
def test_bytes_reach_the_server(elements, raw):
    tensor = {"name": "x", "shape": [len(elements)], "datatype": "BYTES", "data": elements}
    message = ModelInferRequest()
    encode_request(InferenceRequest(inputs=[tensor]), message, raw=raw)
    assert decode_request(message)[0].inputs[0].data == elements


def test_everything_else_of_a_request_reaches_the_server():
    request = {
        "id": "1",
        "parameters": {"content_type": "np", "n": -1, "u": 2**63, "f": 0.5, "b": True},
        "inputs": [
            {
                "name": "x",
                "shape": [1],
                "datatype": "FP64",
                "parameters": {"content_type": "np"},
                "data": [1],
            }
        ],
        "outputs": [{"name": "y", "parameters": {"classification": 2}}, {"name": "z"}],
    }
    message = message_of(request)
    assert message.model_name == "m"
    received, _ = decode_request(message)
    request["inputs"][0]["data"] = [1.0]
    assert json.loads(received.model_dump_json()) == request


def test_one_tensor_without_typed_contents_makes_all_raw():
    tensors = [
        {"name": "x", "shape": [1], "datatype": "FP16", "data": [1]},
        {"name": "y", "shape": [1], "datatype": "FP32", "data": [1]},
    ]
    message = message_of({"inputs": tensors})
    assert len(message.raw_input_contents) == 2
    assert not message.inputs[1].HasField("contents")


@pytest.mark.parametrize(
    ("request_parts", "text"),
    [
        ({"parameters": {"a": [1]}}, "parameters.a: expected a string, a number or a boolean"),
        ({"parameters": {"a": None}}, "which is what gRPC carries, got null"),
        ({"parameters": {"a": 2**64}}, "parameters.a: expected a string"),
        ({"outputs": [{"name": "y", "parameters": {"a": {}}}]}, "output 'y': parameters.a: "),
        (
            {"inputs": [{"name": "x", "shape": [2], "datatype": "INT8", "data": [1]}]},
            "tensor 'x': shape [2] expects 2 elements, got 1",
        ),
        (
            {"inputs": [{"name": "x", "shape": [0, 2**64], "datatype": "INT8", "data": []}]},
            "tensor 'x': a size in shape",
        ),
        (
            {
                "inputs": [
                    {
                        "name": "x",
                        "shape": [0],
                        "datatype": "INT8",
                        "data": [],
                        "parameters": {"a": []},
                    }
                ]
            },
            "tensor 'x': parameters.a: ",
        ),
    ],
)
def test_what_grpc_cannot_carry_is_refused_rather_than_left_out(request_parts, text):
    with pytest.raises(InvalidRequest) as refused:
        message_of({"inputs": [], **request_parts})
    assert text in str(refused.value)


def test_an_answer_is_read_with_all_it_has():
    output = {"name": "y", "shape": [1], "datatype": "BYTES", "data": [b"\xff"]}
    output["parameters"] = {"content_type": "base64"}
    sent = InferenceResponse(
        model_name="m", model_version="v1", id="1", parameters={"n": 1}, outputs=[output]
    )
    message = ModelInferResponse()
    encode_response(sent, message, raw=False)
    assert decode_response(message) == sent


def test_an_answer_with_too_few_buffers_is_refused():
    message = ModelInferResponse(raw_output_contents=[b"", b""])
    message.outputs.add(name="y", datatype="FP32", shape=[0])
    with pytest.raises(InvalidRequest, match="has 2 buffers for 1 outputs"):
        decode_response(message)
