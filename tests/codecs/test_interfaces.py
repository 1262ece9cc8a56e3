"""What a codec offers before it overrides anything, and codecs of one tensor."""

import pytest

from mlserver_core.codecs import (
    InputCodec,
    NumpyRequestCodec,
    RequestCodec,
    SingleInputRequestCodec,
    StringCodec,
    StringRequestCodec,
)
from mlserver_core.errors import CodecError
from mlserver_core.types import InferenceRequest, InferenceResponse, RequestInput, ResponseOutput

TENSOR = {"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}


class Words(InputCodec):
    """Text as one tensor of its words; only encoding outputs is its own."""

    ContentType = "words"
    TypeHint = str

    @classmethod
    def encode_output(cls, name, payload, *, separator=None, **kwargs):
        words = payload.split(separator)
        return ResponseOutput(name=name, datatype="BYTES", shape=[len(words)], data=words)


class WordsRequest(SingleInputRequestCodec):
    """A request with one tensor of words."""

    ContentType = "words"
    InputCodec = Words


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: InputCodec.encode_output("y", 1), "codec '' does not encode outputs"),
        (lambda: InputCodec.encode_input("x", 1), "codec '' does not encode outputs"),
        (
            lambda: Words.decode_output(ResponseOutput(**TENSOR)),
            "codec 'words' does not decode outputs",
        ),
        (
            lambda: Words.decode_input(RequestInput(**TENSOR)),
            "codec 'words' does not decode inputs",
        ),
        (lambda: RequestCodec.encode_response("m", 1), "codec '' does not encode responses"),
        (
            lambda: RequestCodec.decode_response(InferenceResponse(outputs=[])),
            "codec '' does not decode responses",
        ),
        (lambda: RequestCodec.encode_request(1), "codec '' does not encode requests"),
        (
            lambda: RequestCodec.decode_request(InferenceRequest(inputs=[])),
            "codec '' does not decode requests",
        ),
    ],
)
def test_what_a_codec_does_not_offer_is_said(call, text):
    with pytest.raises(CodecError) as caught:
        call()

    assert str(caught.value) == text


def test_a_codec_encodes_what_its_type_hint_says():
    assert Words.can_encode("a b")
    assert not Words.can_encode(["a"])
    assert not InputCodec.can_encode(None)
    assert not RequestCodec.can_encode(None)


def test_inputs_are_encoded_as_outputs_with_the_same_options():
    made = Words.encode_input("x", "a,b", separator=",")

    assert made == RequestInput(name="x", datatype="BYTES", shape=[2], data=["a", "b"])


def test_a_request_codec_of_one_tensor_asks_the_input_codec():
    assert WordsRequest.can_encode("a b")
    assert not WordsRequest.can_encode(["a"])
    assert WordsRequest.encode_request("a b", separator="b").inputs == [
        RequestInput(name="input-1", datatype="BYTES", shape=[2], data=["a ", ""])
    ]


def test_a_response_of_one_tensor_has_the_output_1():
    made = StringRequestCodec.encode_response("m", ["a"], "v1")

    assert (made.model_name, made.model_version) == ("m", "v1")
    assert made.outputs == [StringCodec.encode_output("output-1", ["a"])]
    assert StringRequestCodec.decode_response(made) == ["a"]


def test_a_request_of_one_tensor_has_the_input_1():
    made = StringRequestCodec.encode_request(["a"])

    assert made.inputs == [StringCodec.encode_input("input-1", ["a"])]
    assert StringRequestCodec.decode_request(made) == ["a"]


@pytest.mark.parametrize("count", [0, 2])
def test_a_request_of_none_or_several_tensors_is_refused(count):
    with pytest.raises(CodecError) as caught:
        NumpyRequestCodec.decode_request(InferenceRequest(inputs=[TENSOR] * count))

    assert str(caught.value) == (
        f"content type 'np' only supports a single input tensor, got {count}"
    )


@pytest.mark.parametrize("count", [0, 2])
def test_a_response_of_none_or_several_tensors_is_refused_as_such(count):
    with pytest.raises(CodecError) as caught:
        NumpyRequestCodec.decode_response(InferenceResponse(outputs=[TENSOR] * count))

    assert str(caught.value) == (
        f"content type 'np' only supports a single output tensor, got {count}"
    )
