"""The names and paths that runtimes written for MLServer import."""

import importlib
import warnings

import numpy as np
import pytest

from mlserver_core.codecs import NumpyCodec, NumpyRequestCodec
from mlserver_core.codecs.json import (
    JSONEncoderWithArray,
    decode_from_bytelike_json_to_dict,
    decode_json_input_or_output,
    encode_to_json,
    encode_to_json_bytes,
)
from mlserver_core.codecs.lists import as_list, is_list_of
from mlserver_core.codecs.string import decode_str, encode_str
from mlserver_core.codecs.utils import inject_batch_dimension
from mlserver_core.errors import MLServerError
from mlserver_core.types import RequestInput

NAMES = {
    "codecs": (
        "CodecError NumpyCodec NumpyRequestCodec StringCodec StringRequestCodec Base64Codec "
        "DatetimeCodec PandasCodec InputCodec InputCodecLike RequestCodec RequestCodecLike "
        "DecodedParameterName register_input_codec register_request_codec has_decoded "
        "get_decoded get_decoded_or_raw encode_inference_response encode_response_output "
        "decode_request_input decode_inference_request decode_args"
    ),
    "codecs.base": (
        "InputCodec RequestCodec InputCodecLike RequestCodecLike register_input_codec "
        "register_request_codec"
    ),
    "codecs.string": "StringCodec StringRequestCodec encode_str decode_str",
    "codecs.lists": "as_list is_list_of",
    "codecs.utils": (
        "SingleInputRequestCodec InputOrOutput Parametrised DecodedParameterName has_decoded "
        "get_decoded get_decoded_or_raw inject_batch_dimension encode_response_output "
        "encode_inference_response decode_request_input decode_inference_request"
    ),
    "codecs.decorator": "decode_args",
    "codecs.errors": "CodecError CodecNotFound InputsNotFound OutputNotFound",
    "codecs.numpy": "NumpyCodec NumpyRequestCodec",
    "codecs.pandas": "PandasCodec",
    "codecs.base64": "Base64Codec",
    "codecs.datetime": "DatetimeCodec",
    "codecs.json": "encode_to_json encode_to_json_bytes decode_from_bytelike_json_to_dict",
}


@pytest.mark.parametrize("path", NAMES)
def test_every_name_of_mlserver_is_where_it_was(path):
    module = importlib.import_module(f"mlserver_core.{path}")
    assert [name for name in NAMES[path].split() if not hasattr(module, name)] == []


def test_errors_are_errors_of_the_server():
    module = importlib.import_module("mlserver_core.codecs.errors")
    assert all(issubclass(getattr(module, name), MLServerError) for name in module.__all__)


def test_the_older_names_of_a_codecs_methods_work_with_a_warning():
    array = np.zeros((1, 1))
    with pytest.warns(DeprecationWarning, match=r"encode\(\) of a codec is now encode_output"):
        output = NumpyCodec.encode("x", array)
    assert output == NumpyCodec.encode_output("x", array)
    tensor = NumpyCodec.encode_input("x", array)
    with pytest.warns(DeprecationWarning, match=r"decode\(\) of a codec is now decode_input"):
        assert NumpyCodec.decode(tensor).shape == (1, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        response = NumpyRequestCodec.encode("m", array, "v1")
        request = NumpyRequestCodec.encode_request(array)
        assert NumpyRequestCodec.decode(request).shape == (1, 1)
    assert response.model_version == "v1"
    assert [each.category for each in caught] == [DeprecationWarning] * 2


def test_lists_of_one_or_more():
    assert list(as_list(["a", "b"])) == ["a", "b"]
    assert list(as_list("abc")) == ["abc"]
    assert is_list_of([], str)
    assert is_list_of(["a"], str)
    assert not is_list_of(["a", 1], str)
    assert not is_list_of("a", str)


def test_text_and_shapes():
    assert encode_str("é") == "é".encode()
    assert decode_str("é".encode()) == decode_str("é") == "é"
    assert inject_batch_dimension([3]) == [3, 1]
    assert inject_batch_dimension([3, 2]) == [3, 2]


def test_json_functions():
    value = {"a": np.arange(2), "b": np.float32(0.5), "c": b"text"}
    assert encode_to_json_bytes(value) == b'{"a":[0,1],"b":0.5,"c":"text"}'
    assert decode_from_bytelike_json_to_dict(b'{"a":1}') == {"a": 1}
    assert decode_from_bytelike_json_to_dict('{"a":1}') == {"a": 1}
    assert encode_to_json({"a": np.arange(2)}) == b'{"a":[0,1]}'
    assert encode_to_json({"a": np.int8(1)}, use_bytes=False) == '{"a":1}'
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_to_json(float("nan"))
    with pytest.raises(TypeError):
        JSONEncoderWithArray().encode(object())
    tensor = RequestInput(name="x", shape=[1], datatype="BYTES", data=['{"a":1}'])
    assert decode_json_input_or_output(tensor) == [{"a": 1}]
