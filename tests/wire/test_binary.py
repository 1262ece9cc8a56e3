from __future__ import annotations

import contextlib
import math
import struct

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    Datatype,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    ResponseOutput,
    TensorData,
)
from mlserver_core.types.datatypes import to_dtype
from mlserver_core.wire.binary import (
    BinaryOutputs,
    decode_request,
    encode_response,
    is_raw_only,
)
from mlserver_core.wire.raw import encode_raw

NUMBERS = [datatype for datatype in Datatype if datatype is not Datatype.BYTES]
ALL = BinaryOutputs(otherwise=True)


def head(name="x", shape=(2,), datatype="FP32", size=8, **more):
    parameters = {} if size is None else {"parameters": {"binary_data_size": size}}
    return {"name": name, "shape": list(shape), "datatype": datatype, **parameters, **more}


def body(plain, *buffers):
    text = orjson.dumps(plain)
    return b"".join([text, *buffers]), {"inference-header-content-length": str(len(text))}


@st.composite
def tensors(draw):
    """A datatype, a shape and the elements as they go raw: numbers in bytes, or a list of bytes."""
    datatype = draw(st.sampled_from(Datatype))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    count = math.prod(shape)
    if datatype is Datatype.BYTES:
        return datatype, shape, draw(st.lists(st.binary(), min_size=count, max_size=count))
    if datatype is Datatype.BOOL:
        values = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        return datatype, shape, np.array(values, bool)
    size = count * to_dtype(datatype).itemsize
    raw = draw(st.binary(min_size=size, max_size=size))
    return datatype, shape, np.frombuffer(raw, to_dtype(datatype))


@given(st.lists(tensors(), max_size=4))
def test_what_a_request_holds_raw_comes_out_raw_in_an_answer(made):
    buffers = [encode_raw(values) for _, _, values in made]
    inputs = [
        head(f"t{index}", shape, datatype, len(buffer))
        for index, ((datatype, shape, _), buffer) in enumerate(zip(made, buffers, strict=True))
    ]
    request, wanted = decode_request(*body({"inputs": inputs}, *buffers))
    assert wanted == BinaryOutputs()
    for tensor, (_, shape, values) in zip(request.inputs, made, strict=True):
        assert tensor.shape == shape
        assert tensor.parameters is None
        if isinstance(values, list):
            assert tensor.data.root == values
        else:
            assert tensor.data.root.tobytes() == values.tobytes()
            assert tensor.data.root.dtype == values.dtype
            assert tensor.data.root.flags.writeable
    outputs = [
        ResponseOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
        for each in request.inputs
    ]
    answer, length = encode_response(InferenceResponse(model_name="m", outputs=outputs), ALL)
    if not made:
        assert length is None
        return
    assert answer[length:] == b"".join(buffers)
    told = [each["parameters"] for each in orjson.loads(answer[:length])["outputs"]]
    assert told == [{"binary_data_size": len(buffer)} for buffer in buffers]


def test_tensor_in_json_may_stand_between_binary_ones():
    inputs = [head("a", size=8), head("b", size=None, data=[1, 2]), head("c", size=8)]
    first, last = np.array([1, 2], "<f4"), np.array([3, 4], "<f4")
    request, _ = decode_request(*body({"inputs": inputs}, first.tobytes(), last.tobytes()))
    assert [list(tensor.data) for tensor in request.inputs] == [[1, 2], [1, 2], [3, 4]]


def aligned(content, length):
    """A writable body whose buffers begin where numbers of any datatype may."""
    padding = -length % 16
    made = bytearray(padding) + content
    del made[:padding]
    return made


def test_large_tensor_is_the_memory_of_a_body_that_may_be_written():
    content, headers = body({"inputs": [head(shape=[200], size=800)]}, bytes(800))
    length = int(headers["inference-header-content-length"])
    content = aligned(content, length)
    request, _ = decode_request(content, headers)
    content[length:] = np.ones(200, "<f4").tobytes()
    assert list(request.inputs[0].data) == [1] * 200


def test_small_tensor_is_a_copy_that_keeps_no_body():
    inputs = [head("large", shape=[200], size=800), head("small")]
    content, headers = body({"inputs": inputs}, bytes(808))
    content = aligned(content, int(headers["inference-header-content-length"]))
    request, _ = decode_request(content, headers)
    content[-8:] = b"\xff" * 8
    assert list(request.inputs[1].data) == [0, 0]


def test_body_without_the_header_is_json():
    text = orjson.dumps({"inputs": [head(size=None, data=[1, 2])]})
    request, wanted = decode_request(text, {})
    assert (request.inputs[0].data.root, wanted) == ([1, 2], BinaryOutputs())


@pytest.mark.parametrize(
    ("inputs", "buffer", "problem"),
    [
        ([head(size=9)], bytes(8), "the inputs announce 9 bytes of binary data, got 8 after the"),
        ([head(size=8)], bytes(9), "the inputs announce 8 bytes of binary data, got 9 after the"),
        ([head(size=None, data=[1, 2])], bytes(8), "the inputs announce 0 bytes of binary data"),
        ([head(size=2**62)], bytes(8), f"the inputs announce {2**62} bytes of binary data"),
        ([head(shape=[3])], bytes(8), "tensor 'x': shape [3] of FP32 expects 12 bytes, got 8"),
        ([head(shape=[2**40, 2**40])], bytes(8), "tensor 'x': shape [1099511627776, 10995116277"),
        ([head(shape=[-1])], bytes(8), "tensor 'x': shape [-1] has a negative dimension"),
        ([head(datatype="FP31")], bytes(8), "inputs[0].datatype: expected one of BOOL"),
        (
            [head(datatype="BYTES")],
            struct.pack("<I", 2**31) + b"abcd",
            "tensor 'x': the raw buffer ends within an element",
        ),
        (
            [head(datatype="BYTES")],
            struct.pack("<I", 4) + b"abcd",
            "tensor 'x': shape [2] expects 2 elements, got 1 in the raw buffer",
        ),
        ([head(size=-8)], bytes(8), "inputs[0].parameters.binary_data_size: expected a number of"),
        ([head(size=8.0)], bytes(8), "inputs[0].parameters.binary_data_size: expected a number"),
        ([head(size=True)], bytes(1), "inputs[0].parameters.binary_data_size: expected a number"),
        ([head(size="8")], bytes(8), "inputs[0].parameters.binary_data_size: expected a number"),
        ([head(data=[1, 2])], bytes(8), "inputs[0]: has data although it announces binary_data_"),
        ({}, b"", "inputs: expected a list, got an object"),
        ([[]], b"", "inputs[0]: expected an object, got a list"),
        ([head(size=None)], b"", "inputs[0].data: required, but missing"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(inputs, buffer, problem):
    with pytest.raises(InvalidRequest) as caught:
        decode_request(*body({"inputs": inputs}, buffer))
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize("length", ["", "x", "-1", "1.5", "1000", "9" * 6000, "٣", "+1"])
def test_header_that_is_no_length_of_a_part_is_refused(length):
    with pytest.raises(InvalidRequest, match="expected the length of the JSON part, at most the 2"):
        decode_request(b"{}", {"inference-header-content-length": length})


@given(st.binary(max_size=60), st.integers(0, 70))
def test_no_body_makes_anything_but_a_request_or_a_refusal(content, length):
    declared = [MetadataTensor(name="x", datatype="INT16", shape=[-1])]
    headers = {"inference-header-content-length": str(length)}
    with contextlib.suppress(InvalidRequest):
        decode_request(content, headers, declared)


def test_wishes_for_binary_outputs_are_taken_out_of_the_request():
    plain = {
        "parameters": {"binary_data_output": True, "kept": 1},
        "inputs": [],
        "outputs": [
            {"name": "a"},
            {"name": "b", "parameters": {"binary_data": False}},
            {"name": "c", "parameters": {"binary_data": True, "content_type": "np"}},
        ],
    }
    request, wanted = decode_request(orjson.dumps(plain), {})
    assert [wanted.has(name) for name in "abcd"] == [True, False, True, True]
    assert request.model_dump() == {
        "parameters": {"kept": 1},
        "inputs": [],
        "outputs": [
            {"name": "a"},
            {"name": "b"},
            {"name": "c", "parameters": {"content_type": "np"}},
        ],
    }


def test_only_the_named_outputs_are_binary_without_the_wish_for_all():
    outputs = [{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}]
    _, wanted = decode_request(orjson.dumps({"inputs": [], "outputs": outputs}), {})
    assert [wanted.has(name) for name in "ab"] == [True, False]


@pytest.mark.parametrize(
    ("plain", "problem"),
    [
        ({"parameters": {"binary_data_output": 1}}, "parameters.binary_data_output: expected true"),
        (
            {"outputs": [{"name": "a", "parameters": {"binary_data": "yes"}}]},
            r"outputs\[0\].parameters.binary_data: expected true or false, got 'yes'",
        ),
    ],
)
def test_wish_that_is_no_truth_value_is_refused(plain, problem):
    with pytest.raises(InvalidRequest, match=problem):
        decode_request(orjson.dumps({"inputs": [], **plain}), {})


def output(name, data=(1, 2), **parameters):
    return ResponseOutput(
        name=name,
        shape=[2],
        datatype="INT16",
        parameters=Parameters(**parameters) if parameters else None,
        data=TensorData(np.array(data, "int16")),
    )


def test_json_and_binary_outputs_mix_and_parameters_stay():
    response = InferenceResponse(
        model_name="m", outputs=[output("a"), output("b", content_type="np"), output("c")]
    )
    answer, length = encode_response(response, BinaryOutputs(named={"b": True, "c": True}))
    assert orjson.loads(answer[:length]) == {
        "model_name": "m",
        "parameters": {},
        "outputs": [
            {"name": "a", "shape": [2], "datatype": "INT16", "data": [1, 2]},
            {
                "name": "b",
                "shape": [2],
                "datatype": "INT16",
                "parameters": {"content_type": "np", "binary_data_size": 4},
            },
            {
                "name": "c",
                "shape": [2],
                "datatype": "INT16",
                "parameters": {"binary_data_size": 4},
            },
        ],
    }
    assert answer[length:] == b"\1\0\2\0\1\0\2\0"
    assert response.outputs[1].parameters.to_plain() == {"content_type": "np"}


@pytest.mark.parametrize("wanted", [ALL, BinaryOutputs()], ids=["binary", "json"])
def test_size_that_a_runtime_copied_from_an_input_is_not_sent(wanted):
    response = InferenceResponse(
        model_name="m", outputs=[output("a", binary_data_size=99, binary_data=True, kept=1)]
    )
    answer, length = encode_response(response, wanted)
    (told,) = orjson.loads(answer[:length])["outputs"]
    assert told["parameters"] == ({"kept": 1, "binary_data_size": 4} if length else {"kept": 1})


def test_big_endian_and_strided_arrays_go_out_little_endian_and_packed():
    array = np.arange(8, dtype=">i2")[::4]
    made = ResponseOutput(name="a", shape=[2], datatype="INT16", data=array)
    answer, length = encode_response(InferenceResponse(outputs=[made]), ALL)
    assert answer[length:] == b"\0\0\4\0"


@pytest.mark.parametrize(
    ("datatype", "declared", "size", "shape"),
    [
        ("FP32", [4], 16, [4]),
        ("FP32", [-1], 12, [3]),
        ("FP32", [-1, 4], 16, [1, 4]),
        ("FP32", [-1, 4], 48, [3, 4]),
        ("FP32", [-1, -1], 12, [1, 3]),
        ("FP32", [-1, 2, -1], 24, [1, 2, 3]),
        ("BF16", [2, -1], 8, [2, 2]),
        ("FP32", [-1], 0, [0]),
        ("BYTES", [1], 5, [1]),
        ("BYTES", [-1], 5, [1]),
        ("BYTES", [-1, 1], 5, [1, 1]),
    ],
)
def test_body_without_json_is_the_models_only_input(datatype, declared, size, shape):
    headers = {"inference-header-content-length": "0"}
    assert is_raw_only(headers)
    tensor = MetadataTensor(name="x", datatype=datatype, shape=declared)
    content = bytes(range(size))
    request, wanted = decode_request(content, headers, [tensor])
    (made,) = request.inputs
    assert (made.name, made.shape, made.datatype) == ("x", shape, datatype)
    if datatype == "BYTES":
        assert made.data.root == [content]
    else:
        assert made.data.root.tobytes() == content
    assert wanted == ALL


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ([], "its metadata has 0 inputs"),
        ([("FP32", [1]), ("FP32", [1])], "its metadata has 2 inputs"),
        ([("FP32", [3])], "shape [3] of FP32 expects 12 bytes, got 8"),
        ([("FP32", [-1, 3])], "shape [0, 3] of FP32 expects 0 bytes, got 8"),
        ([("FP32", [2, -1, -1])], "the body alone does not tell the shape of input 'x'"),
        ([("FP32", [-1, -1, -1])], "the body alone does not tell the shape of input 'x'"),
        ([("FP32", [0, -1])], "shape [0, 0] of FP32 expects 0 bytes, got 8"),
        ([("BYTES", [2])], "the body alone does not tell the shape of input 'x'"),
    ],
)
def test_body_without_json_that_does_not_fit_the_metadata_is_refused(inputs, problem):
    declared = [MetadataTensor(name="x", datatype=each, shape=shape) for each, shape in inputs]
    with pytest.raises(InvalidRequest) as caught:
        decode_request(bytes(8), {"inference-header-content-length": "0"}, declared)
    assert problem in str(caught.value)
