"""Decoded payloads stay with the request, and never leave the server."""

import copy
import pickle

import numpy as np
import pytest

from mlserver_core import MLModel, ModelSettings
from mlserver_core.codecs import (
    Base64Codec,
    DecodedParameterName,
    InputCodec,
    NumpyCodec,
    StringCodec,
    decode_inference_request,
    decode_request_input,
    encode_inference_response,
    encode_response_output,
    get_decoded,
    get_decoded_or_raw,
    has_decoded,
)
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    RequestInput,
    RequestOutput,
)
from mlserver_core.wire import json

SETTINGS = ModelSettings(name="m", implementation=MLModel, parameters={"content_type": "np"})


def tensor(content_type=None, **fields):
    parameters = {"content_type": content_type} if content_type else None
    values = {"name": "x", "shape": [1], "datatype": "BYTES", "data": ["YQ=="]}
    return RequestInput(**values | {"parameters": parameters} | fields)


class Counting(InputCodec):
    """Counts how often it is asked."""

    ContentType = "counting"
    calls = 0

    @classmethod
    def decode_input(cls, request_input):
        cls.calls += 1
        return NumpyCodec.decode_input(request_input)


def test_nothing_is_decoded_at_first():
    raw = tensor("base64")
    request = InferenceRequest(inputs=[raw])
    for each in (raw, request, tensor()):
        assert not has_decoded(each)
        assert get_decoded(each) is None
    assert get_decoded_or_raw(raw) is raw.data
    assert get_decoded_or_raw(request) is request


def test_what_is_decoded_can_be_got_again():
    raw = tensor("base64")
    assert decode_request_input(raw) == [b"a"]
    assert has_decoded(raw)
    assert get_decoded(raw) == get_decoded_or_raw(raw) == [b"a"]
    assert getattr(raw.parameters, DecodedParameterName) == [b"a"]


def test_a_request_and_each_of_its_inputs_keep_what_they_became():
    numbers = tensor(datatype="FP32", data=[1.0])
    request = InferenceRequest(inputs=[numbers])
    decoded = decode_inference_request(request, SETTINGS)
    assert get_decoded(request) is decoded
    assert not has_decoded(numbers)  # it names no content type; the request's codec decoded it
    first, second = tensor("base64"), tensor("str", name="y")
    mixed = InferenceRequest(inputs=[first, second])
    assert decode_inference_request(mixed) is mixed
    assert [get_decoded_or_raw(each) for each in mixed.inputs] == [[b"a"], ["YQ=="]]


def test_a_request_codec_works_on_what_the_inputs_codec_made_and_nothing_is_decoded_twice():
    model = MLModel(SETTINGS)
    model.codecs.inputs.add("counting", Counting)
    Counting.calls = 0
    request = InferenceRequest(inputs=[tensor("counting", datatype="FP32", data=[1.0])])

    decoded = model.decode_request(request)

    assert Counting.calls == 1
    assert decoded is get_decoded(request.inputs[0])
    assert model.decode_request(InferenceRequest(inputs=[tensor("base64")])) == [b"a"]


def test_a_default_codec_of_one_call_does_not_decide_for_the_next():
    model = MLModel(ModelSettings(name="m", implementation=MLModel))
    raw = tensor()
    assert model.decode(raw, StringCodec) == ["YQ=="]
    assert model.decode(raw, Base64Codec) == [b"a"]
    assert not has_decoded(raw)
    named = tensor("base64")
    assert model.decode(named, StringCodec) is get_decoded(named)


def test_an_input_content_type_that_is_unknown_is_refused_by_decode_request():
    request = InferenceRequest(inputs=[tensor("nonsense")])
    with pytest.raises(
        InvalidRequest, match="input 'x' has the unknown content type 'nonsense'; known"
    ):
        MLModel(SETTINGS).decode_request(request)


def test_declared_content_types_come_after_the_inputs_own():
    declared = {
        "x": MetadataTensor(
            name="x", datatype="BYTES", shape=[1], parameters={"content_type": "base64"}
        )
    }
    assert decode_request_input(tensor(), declared) == [b"a"]
    assert decode_request_input(tensor("str"), declared) == ["YQ=="]
    assert decode_request_input(tensor()) is None


def test_a_decoded_payload_is_not_dumped_sent_copied_or_pickled():
    raw = tensor("base64")
    request = InferenceRequest(inputs=[raw], parameters={"a": 1})
    before = request.model_dump(), request.model_dump_json(), repr(request)
    decode_inference_request(request)
    decode_request_input(raw)

    assert (request.model_dump(), request.model_dump_json(), repr(request)) == before
    assert raw.parameters == tensor("base64").parameters
    answer = InferenceResponse(model_name="m", outputs=[], parameters=raw.parameters)
    assert DecodedParameterName.encode() not in json.encode_response(answer)
    for other in (
        copy.copy(raw.parameters),
        copy.deepcopy(raw.parameters),
        pickle.loads(pickle.dumps(raw.parameters)),
    ):
        assert other == raw.parameters
        assert not hasattr(other, DecodedParameterName)


def test_a_client_cannot_say_what_was_decoded():
    sent = RequestInput.model_validate(
        {
            "name": "x",
            "shape": [1],
            "datatype": "FP32",
            "data": [1.0],
            "parameters": {"_decoded_payload": [2.0], "content_type": "np"},
        }
    )
    assert not has_decoded(sent)
    assert get_decoded_or_raw(sent) is sent.data
    request = InferenceRequest(inputs=[sent], parameters={"_decoded_payload": "x"})
    assert not has_decoded(request)
    np.testing.assert_array_equal(decode_inference_request(request, SETTINGS), np.float32([1]))


def test_outputs_and_responses_by_what_they_are():
    output = encode_response_output(["a"], RequestOutput(name="y"))
    assert (output.name, output.parameters.content_type) == ("y", "str")
    wanted = RequestOutput(name="y", parameters={"content_type": "base64"})
    assert encode_response_output([b"a"], wanted).data == [b"YQ=="]
    assert encode_response_output(object(), RequestOutput(name="y")) is None
    response = encode_inference_response(np.zeros((1, 2)), SETTINGS)
    assert (response.model_name, response.parameters.content_type) == ("m", "np")
    assert encode_inference_response(object(), SETTINGS) is None
