"""Tensors in protobuf messages to types and back."""

import logging
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.errors import InvalidRequest, RuntimeFailed
from mlserver_core.grpc.messages import load_messages
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestOutput,
)
from mlserver_core.types.datatypes import to_dtype
from mlserver_core.wire.protobuf import FIELDS, decode_request, encode_response

D = Datatype
ModelInferRequest = load_messages().get("inference.ModelInferRequest")
ModelInferResponse = load_messages().get("inference.ModelInferResponse")
NUMBERS = [each for each in D if each is not D.BYTES]
TYPED = [each for each in NUMBERS if each in FIELDS]
DATATYPES = ", ".join(D)


def message_of(datatype, shape, values=(), *, raw=None, name="x"):
    """A request with one tensor, its elements typed or raw."""
    message = ModelInferRequest(model_name="m")
    tensor = message.inputs.add(name=name, datatype=str(datatype), shape=shape)
    if len(values):
        getattr(tensor.contents, FIELDS[D(datatype)]).extend(values)
    if raw is not None:
        message.raw_input_contents.append(raw)
    return message


def refusal(message):
    with pytest.raises(InvalidRequest) as caught:
        decode_request(message)
    return str(caught.value)


def encoded(*, raw=False, parameters=None, **output):
    """The message for a response with one output."""
    values = {"name": "y", "shape": [1], "datatype": "FP32", "data": [1.0]} | output
    message = ModelInferResponse()
    made = InferenceResponse(model_name="m", parameters=parameters, outputs=[values])
    encode_response(made, message, raw=raw)
    return message


def failure(**output):
    with pytest.raises(RuntimeFailed) as caught:
        encoded(**output)
    return str(caught.value)


def pack(elements):
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def same(left, right):
    """Equal in dtype, and bit by bit but for the payload of NaN."""
    assert left.dtype == right.dtype
    left, right = left.reshape(-1), right.reshape(-1)
    assert left.size == right.size
    if left.dtype.kind == "b":
        return bool((left == right).all())
    bits = f"u{left.itemsize}"
    number = left.astype("f8") if left.dtype.kind not in "iu" else left
    return bool(((left.view(bits) == right.view(bits)) | (number != number)).all())


# Requests


def test_a_full_request_is_read():
    message = ModelInferRequest(model_name="m", id="7")
    message.parameters["flag"].bool_param = True
    tensor = message.inputs.add(name="x", datatype="INT8", shape=[2])
    tensor.contents.int_contents.extend([1, -1])
    tensor.parameters["content_type"].string_param = "np"
    message.outputs.add(name="y").parameters["flag"].bool_param = False

    request, raw = decode_request(message)

    assert raw is False
    assert request.inputs[0].data.root.tolist() == [1, -1]
    assert request == InferenceRequest(
        id="7",
        parameters=Parameters(flag=True),
        inputs=[
            {
                "name": "x",
                "shape": [2],
                "datatype": "INT8",
                "parameters": {"content_type": "np"},
                "data": [1, -1],
            }
        ],
        outputs=[RequestOutput(name="y", parameters=Parameters(flag=False))],
    )


def test_what_is_absent_is_none():
    request, raw = decode_request(ModelInferRequest(model_name="m"))

    assert request == InferenceRequest(inputs=[])
    assert (request.id, request.parameters, request.outputs, raw) == (None, None, None, False)


def test_every_kind_of_parameter_is_read():
    message = ModelInferRequest()
    message.parameters["bool"].bool_param = False
    message.parameters["int64"].int64_param = -(2**63)
    message.parameters["uint64"].uint64_param = 2**64 - 1
    message.parameters["double"].double_param = 0.5
    message.parameters["string"].string_param = ""
    message.parameters["nothing"].SetInParent()
    message.parameters["self"].int64_param = 0

    parameters = decode_request(message)[0].parameters

    expected = {
        "bool": False,
        "int64": -(2**63),
        "uint64": 2**64 - 1,
        "double": 0.5,
        "string": "",
        "nothing": None,
        "self": 0,
    }
    assert parameters == Parameters(**expected)
    assert parameters.bool is False


def test_a_parameter_of_the_wrong_type_is_refused():
    message = ModelInferRequest()
    message.parameters["content_type"].bool_param = True

    assert "content_type: expected a string, got true" in refusal(message)


def test_a_wrong_parameter_of_a_tensor_names_the_tensor():
    message = message_of(D.FP32, [0], name="second")
    message.inputs[0].parameters["content_type"].bool_param = True

    text = refusal(message)

    assert "'second'" in text
    assert "content_type: expected a string, got true" in text


@pytest.mark.parametrize("name", ["FLOAT", "fp32", "", "BYTES "])
def test_an_unknown_datatype_is_refused_and_named(name):
    message = ModelInferRequest()
    message.inputs.add(name="x", datatype=name, shape=[1])

    assert refusal(message) == (
        f"tensor 'x': expected one of {DATATYPES} as datatype, got {name!r}"
    )


# Typed contents


@pytest.mark.parametrize(
    ("datatype", "values", "dtype"),
    [
        (D.BOOL, [True, False], "?"),
        (D.INT8, [-1, 127], "i4"),
        (D.INT16, [-1, 2**15 - 1], "i4"),
        (D.INT32, [-(2**31), 2**31 - 1], "i4"),
        (D.INT64, [-(2**63), 2**63 - 1], "i8"),
        (D.UINT8, [0, 255], "u4"),
        (D.UINT32, [0, 2**32 - 1], "u4"),
        (D.UINT64, [0, 2**64 - 1], "u8"),
        (D.FP32, [0.5, -1.5], "f4"),
        (D.FP64, [0.1, 1e300], "f8"),
    ],
)
def test_typed_contents_are_read_whole(datatype, values, dtype):
    data = decode_request(message_of(datatype, [2], values))[0].inputs[0].data.root

    assert data.tolist() == values
    assert data.dtype == np.dtype(dtype)
    assert data.flags.writeable


def test_values_beyond_the_datatype_are_left_for_admission_to_name():
    data = decode_request(message_of(D.INT8, [2], [1, 300]))[0].inputs[0].data

    assert data == [1, 300]


def test_typed_bytes_keep_empty_and_binary_elements():
    elements = [b"", b"\xff\x00", b"abc"]

    assert decode_request(message_of(D.BYTES, [3], elements))[0].inputs[0].data == elements


@pytest.mark.parametrize("datatype", [*TYPED, D.BYTES])
def test_typed_contents_may_be_empty(datatype):
    request, raw = decode_request(message_of(datatype, [0]))

    assert len(request.inputs[0].data) == 0
    assert raw is False


def test_contents_in_the_field_of_another_datatype_are_refused():
    message = message_of(D.FP64, [1], [0.5])
    message.inputs[0].datatype = "FP32"

    assert refusal(message) == "tensor 'x': expected FP32 in fp32_contents, got fp64_contents"


def test_contents_in_two_fields_are_refused():
    message = message_of(D.FP32, [1], [0.5])
    message.inputs[0].contents.int_contents.append(1)

    assert refusal(message) == "tensor 'x': expected FP32 in fp32_contents, got int_contents"


@pytest.mark.parametrize("datatype", [D.FP16, D.BF16])
def test_half_floats_have_no_typed_contents(datatype):
    assert refusal(message_of(datatype, [1])) == (
        f"tensor 'x': {datatype} has no typed contents; send it in raw_input_contents"
    )


def test_contents_that_came_unpacked_or_with_unknown_fields_are_read():
    unpacked = message_of(D.FP32, [2])
    unpacked.inputs[0].contents.MergeFromString(
        b"\x35" + struct.pack("<f", 1) + b"\x35" + struct.pack("<f", 2)
    )
    unknown = message_of(D.FP32, [2], [1, 2])
    unknown.inputs[0].contents.MergeFromString(b"\x98\x06\x01")

    for message in (unpacked, unknown):
        data = decode_request(message)[0].inputs[0].data.root
        assert data.tolist() == [1.0, 2.0]
        assert data.dtype == np.float32


def test_contents_longer_than_one_length_byte_are_read():
    values = np.arange(5000, dtype=np.float32)

    data = decode_request(message_of(D.FP32, [5000], values))[0].inputs[0].data.root

    np.testing.assert_array_equal(data, values)


# Raw contents


@pytest.mark.parametrize(
    ("datatype", "raw", "values"),
    [
        (D.BOOL, b"\0\1\2", [False, True, True]),
        (D.INT8, b"\xff\0\1", [-1, 0, 1]),
        (D.UINT16, b"\1\0\0\1\xff\xff", [1, 256, 65535]),
        (D.INT32, b"\xfe\xff\xff\xff", [-2]),
        (D.FP16, b"\0\x3c", [1.0]),
        (D.BF16, b"\x80\x3f\xc0\xbf", [1.0, -1.5]),
        (D.FP32, b"\0\0\x80\x3f", [1.0]),
    ],
)
def test_raw_contents_are_little_endian(datatype, raw, values):
    request, is_raw = decode_request(message_of(datatype, [len(values)], raw=raw))
    data = request.inputs[0].data.root

    assert is_raw is True
    assert data.tolist() == values
    assert data.dtype == to_dtype(datatype)
    assert data.flags.writeable


def test_raw_bytes_are_split_by_their_lengths():
    raw = pack([b"a", b"", b"\xff\0", b"x" * 300])

    data = decode_request(message_of(D.BYTES, [2, 2], raw=raw))[0].inputs[0].data

    assert data == [b"a", b"", b"\xff\0", b"x" * 300]


def test_raw_contents_belong_to_inputs_in_order():
    message = message_of(D.INT8, [1], raw=b"\1", name="one")
    message.inputs.add(name="two", datatype="INT8", shape=[2])
    message.raw_input_contents.append(b"\2\3")

    inputs = decode_request(message)[0].inputs

    assert [(each.name, list(each.data)) for each in inputs] == [("one", [1]), ("two", [2, 3])]


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "text"),
    [
        (D.FP32, [1], b"12", "shape [1] of FP32 expects 4 bytes, got 2"),
        (D.FP32, [2, 2], b"", "shape [2, 2] of FP32 expects 16 bytes, got 0"),
        (D.FP32, [0], b"1234", "shape [0] of FP32 expects 0 bytes, got 4"),
        (D.FP16, [3], b"12345", "shape [3] of FP16 expects 6 bytes, got 5"),
        (
            D.FP32,
            [2**40, 2**40],
            b"",
            f"shape [{2**40}, {2**40}] of FP32 expects {2**82} bytes, got 0",
        ),
        (D.BYTES, [3], pack([b"a"]), "shape [3] expects 3 elements, got 1 in the raw buffer"),
        (
            D.BYTES,
            [2, 2],
            pack([b"a"] * 2),
            "shape [2, 2] expects 4 elements, got 2 in the raw buffer",
        ),
        (D.BYTES, [0], pack([b""]), "shape [0] expects 0 elements, got more in the raw buffer"),
        (
            D.FP32,
            [-1],
            b"1234",
            "shape [-1] has a negative dimension; a request gives the size of every dimension",
        ),
        *(
            (
                D.BYTES,
                [1],
                raw,
                "the raw buffer ends within an element; each is a 4-byte little-endian length "
                "and that many bytes",
            )
            for raw in (b"\1", b"\1\0\0", b"\1\0\0\0", b"\5\0\0\0abcd", b"\xff\xff\xff\xffa")
        ),
    ],
)
def test_raw_contents_of_another_size_are_refused(datatype, shape, raw, text):
    assert refusal(message_of(datatype, shape, raw=raw)) == f"tensor 'x': {text}"


@pytest.mark.parametrize("buffers", [1, 3])
def test_there_must_be_one_buffer_for_each_input(buffers):
    message = ModelInferRequest(raw_input_contents=[b"1234"] * buffers)
    message.inputs.add(name="x", datatype="FP32", shape=[1])
    message.inputs.add(name="y", datatype="FP32", shape=[1])

    assert refusal(message) == (
        f"raw_input_contents has {buffers} buffers for 2 inputs; expected one per input"
    )


def test_a_tensor_may_not_be_both_typed_and_raw():
    assert refusal(message_of(D.FP32, [1], [1.0], raw=b"1234")) == (
        "tensor 'x': has contents although raw_input_contents is used; send one of the two"
    )


# Responses


def test_a_full_answer_is_written():
    made = InferenceResponse(
        model_name="m",
        model_version="v1",
        id="7",
        parameters={"mine": 0.5},
        outputs=[
            {
                "name": "y",
                "shape": [2],
                "datatype": "INT8",
                "parameters": {"content_type": "np"},
                "data": [1, -1],
            }
        ],
    )
    message = ModelInferResponse()
    encode_response(made, message, raw=False)

    expected = ModelInferResponse(model_name="m", model_version="v1", id="7")
    expected.parameters["mine"].double_param = 0.5
    output = expected.outputs.add(name="y", datatype="INT8", shape=[2])
    output.parameters["content_type"].string_param = "np"
    output.contents.int_contents.extend([1, -1])
    assert message == expected


def test_a_raw_answer_has_a_buffer_for_each_output():
    made = InferenceResponse(
        model_name="m",
        outputs=[
            {"name": "a", "shape": [1], "datatype": "INT16", "data": [258]},
            {"name": "b", "shape": [3], "datatype": "BYTES", "data": ["é", b"", None]},
            {"name": "c", "shape": [0], "datatype": "FP32", "data": []},
        ],
    )
    message = ModelInferResponse()
    encode_response(made, message, raw=True)

    assert list(message.raw_output_contents) == [b"\2\1", pack(["é".encode(), b"", b""]), b""]
    assert not any(output.HasField("contents") for output in message.outputs)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_floats_make_every_output_raw(datatype):
    made = InferenceResponse(
        model_name="m",
        outputs=[
            {"name": "a", "shape": [1], "datatype": "INT8", "data": [1]},
            {"name": "b", "shape": [1], "datatype": datatype, "data": [1.0]},
        ],
    )
    message = ModelInferResponse()
    encode_response(made, message, raw=False)

    assert len(message.raw_output_contents) == 2
    assert not any(output.HasField("contents") for output in message.outputs)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("datatype", "data", "values"),
    [
        ("FP32", np.array([[1, 2], [3, 4]], np.float32).T, [1.0, 3.0, 2.0, 4.0]),
        ("FP32", np.array([1.5], ">f4"), [1.5]),
        ("INT32", np.array([1], ">i4"), [1]),
        ("INT64", np.array([[1, 2], [3, 4]])[:, ::-1], [2, 1, 4, 3]),
        ("INT64", [[1], [2]], [1, 2]),
        ("FP32", np.array(5.0), [5.0]),
        ("UINT16", [65535], [65535]),
        ("INT8", np.array([-1, 1], np.int64), [-1, 1]),
        ("BOOL", [True, False], [True, False]),
        ("BOOL", [1, 0], [True, False]),
        ("FP64", np.array([1, 2]), [1.0, 2.0]),
        ("FP64", np.array([1.5, 2], object), [1.5, 2.0]),
    ],
)
def test_outputs_of_any_layout_are_written_in_the_datatype(datatype, data, values, raw):
    message = encoded(datatype=datatype, shape=[len(values)], data=data, raw=raw)

    if raw:
        dtype = to_dtype(D(datatype)).newbyteorder("<")
        assert np.frombuffer(message.raw_output_contents[0], dtype).tolist() == values
    else:
        assert list(getattr(message.outputs[0].contents, FIELDS[D(datatype)])) == values


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("data", "elements"),
    [
        (["a", b"b", "é"], [b"a", b"b", "é".encode()]),
        ([["a"], [b"b"]], [b"a", b"b"]),
        ("bare", [b"bare"]),
        (b"bare", [b"bare"]),
        (np.array(["a", "bc"]), [b"a", b"bc"]),
        (np.array([["a", b"b"]], object), [b"a", b"b"]),
        (np.array("a"), [b"a"]),
        ([None], [b""]),
        (["\udcff"], [b"\xff"]),
        ([bytearray(b"a")], [b"a"]),
        ([np.str_("a"), np.bytes_(b"b")], [b"a", b"b"]),
        ([], []),
    ],
)
def test_outputs_of_text_are_written_as_bytes(data, elements, raw):
    message = encoded(datatype="BYTES", shape=[len(elements)], data=data, raw=raw)

    if raw:
        assert list(message.raw_output_contents) == [pack(elements)]
    else:
        assert list(message.outputs[0].contents.bytes_contents) == elements


def test_an_empty_typed_output_has_empty_contents():
    assert encoded(shape=[0], data=[]).outputs[0].HasField("contents")
    assert encoded(shape=[0], data=[], datatype="INT8").outputs[0].HasField("contents")


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("output", "text"),
    [
        (
            {"datatype": "INT8", "data": [300]},
            "tensor 'y': the value 300 does not fit datatype INT8",
        ),
        (
            {"data": [[1], [2, 3]]},
            "tensor 'y': data is nested unevenly; every row must have the same length",
        ),
        ({"data": 5}, "tensor 'y': expected a list of values, got the value 5"),
        ({"datatype": "BYTES", "data": [1]}, "output 'y' of datatype BYTES holds a int"),
    ],
)
def test_an_output_that_does_not_fit_is_the_runtimes_failure(output, text, raw):
    assert failure(raw=raw, **output) == f"the model's answer does not fit: {text}"


@pytest.mark.parametrize(
    "output",
    [
        {"datatype": "BYTES", "data": 5},
        {"datatype": "BYTES", "data": None},
        {"datatype": "BYTES", "data": ["\ud800"]},
        {"datatype": "INT32", "data": np.array([1, "a"], object)},
        {"datatype": "FP32", "data": np.array(["a"], object)},
    ],
)
def test_an_output_of_the_wrong_kind_is_the_runtimes_failure_and_named(output):
    text = failure(**output)

    assert text.startswith("the model's answer does not fit: ")
    assert "'y'" in text


def test_every_kind_of_parameter_is_written():
    message = encoded(
        parameters={
            "bool": True,
            "int64": -(2**63),
            "uint64": 2**64 - 1,
            "double": 0.5,
            "string": "é",
            "numpy": np.float32(0.5),
            "numpy flag": np.bool_(False),
            "numpy count": np.int64(3),
        }
    )

    assert {
        name: (
            value.WhichOneof("parameter_choice"),
            getattr(value, value.WhichOneof("parameter_choice")),
        )
        for name, value in message.parameters.items()
    } == {
        "bool": ("bool_param", True),
        "int64": ("int64_param", -(2**63)),
        "uint64": ("uint64_param", 2**64 - 1),
        "double": ("double_param", 0.5),
        "string": ("string_param", "é"),
        "numpy": ("double_param", 0.5),
        "numpy flag": ("bool_param", False),
        "numpy count": ("int64_param", 3),
    }


@pytest.mark.parametrize(
    ("value", "kind"),
    [([1], "list"), ({"a": 1}, "dict"), (2**64, "int"), (b"a", "bytes")],
)
def test_a_parameter_that_grpc_cannot_carry_is_dropped_with_a_warning(caplog, value, kind):
    message = encoded(parameters={"mine": value, "other": 1})

    assert list(message.parameters) == ["other"]
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.WARNING,
            f"The parameter 'mine' is a {kind}, which gRPC cannot carry; it is not sent",
        )
    ]


def test_a_parameter_of_none_is_one_without_a_choice(caplog):
    message = encoded(parameters={"nothing": None})

    assert list(message.parameters) == ["nothing"]
    assert message.parameters["nothing"].WhichOneof("parameter_choice") is None
    assert caplog.records == []


def test_a_parameter_that_is_no_text_does_not_stop_the_answer(caplog):
    message = encoded(parameters={"mine": "\ud800", "other": 1})

    assert list(message.parameters) == ["other"]
    assert "'mine'" in caplog.text


def test_encoding_leaves_the_response_alone():
    array = np.array([[1.0, 2.0]])
    made = InferenceResponse(
        model_name="m",
        outputs=[{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": array}],
    )

    encode_response(made, ModelInferResponse(), raw=True)

    assert made.outputs[0].data.root is array
    assert array.dtype == np.float64


# Any data


@st.composite
def tensors(draw, among):
    """A datatype and an array of its dtype."""
    datatype = draw(st.sampled_from(among))
    shape = draw(nps.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    if datatype is D.BF16:
        return datatype, draw(nps.arrays(np.uint16, shape)).view(ml_dtypes.bfloat16)
    return datatype, draw(nps.arrays(to_dtype(datatype), shape))


modest = settings(deadline=None, max_examples=80)
elements = st.lists(st.binary(max_size=200))


@modest
@given(tensors(NUMBERS))
def test_any_raw_array_is_read(tensor):
    datatype, array = tensor
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)

    request, raw = decode_request(message_of(datatype, array.shape, raw=little.tobytes()))

    assert raw is True
    assert request.inputs[0].shape == list(array.shape)
    assert same(request.inputs[0].data.root, array)
    assert request.inputs[0].data.root.flags.writeable


@modest
@given(tensors(TYPED))
def test_any_typed_array_is_read(tensor):
    datatype, array = tensor
    values = array.reshape(-1).tolist()

    request, raw = decode_request(message_of(datatype, array.shape, values))

    assert raw is False
    assert same(request.inputs[0].data.root.astype(array.dtype), array)


@modest
@given(tensors(NUMBERS), st.booleans())
def test_any_array_written_is_read_back(tensor, raw):
    datatype, array = tensor
    message = encoded(datatype=datatype, shape=list(array.shape), data=array, raw=raw)

    request = ModelInferRequest(raw_input_contents=message.raw_output_contents)
    request.inputs.add().MergeFromString(message.outputs[0].SerializeToString())

    if array.size or raw or datatype in FIELDS:
        assert same(decode_request(request)[0].inputs[0].data.root.astype(array.dtype), array)


@modest
@given(elements, st.booleans())
def test_any_bytes_written_are_read_back(elements, raw):
    message = encoded(datatype="BYTES", shape=[len(elements)], data=elements, raw=raw)

    request = ModelInferRequest(raw_input_contents=message.raw_output_contents)
    request.inputs.add().MergeFromString(message.outputs[0].SerializeToString())

    assert decode_request(request)[0].inputs[0].data == elements


@modest
@given(st.binary(), st.integers(0, 3))
def test_any_raw_buffer_of_bytes_is_read_or_refused(raw, count):
    try:
        request, _ = decode_request(message_of(D.BYTES, [count], raw=raw))
    except InvalidRequest as error:
        assert str(error).startswith("tensor 'x': ")  # noqa: PT017  # of those that are refused
    else:
        assert pack(request.inputs[0].data) == raw


@modest
@given(
    st.dictionaries(
        st.text().filter(lambda name: name not in ("content_type", "headers")),
        st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    )
)
def test_any_plain_parameters_written_are_read_back(parameters):
    message = encoded(parameters=parameters)

    request = ModelInferRequest()
    for name, value in message.parameters.items():
        request.parameters[name].MergeFromString(value.SerializeToString())

    assert decode_request(request)[0].parameters == (
        Parameters(**parameters) if parameters else None
    )
