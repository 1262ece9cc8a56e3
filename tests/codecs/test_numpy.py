"""Content type np: arrays."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.codecs import NumpyCodec, NumpyRequestCodec
from mlserver_core.errors import CodecError, InvalidRequest
from mlserver_core.types import Datatype, Parameters, RequestInput, ResponseOutput
from mlserver_core.types.datatypes import to_dtype

NUMBERS = [each for each in Datatype if each is not Datatype.BYTES]


def decoded(**values):
    tensor = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]} | values
    made = NumpyCodec.decode_input(RequestInput(**tensor))
    np.testing.assert_array_equal(NumpyCodec.decode_output(ResponseOutput(**tensor)), made)
    return made


# Decoding


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "expected"),
    [
        ("FP32", [2], [1, 2.5], [1.0, 2.5]),
        ("INT64", [2, 1], [1, 2], [[1], [2]]),
        ("INT8", [2, 2], [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("BOOL", [1, 2], [True, False], [[True, False]]),
        ("FP64", [], [5], 5.0),
        ("BF16", [1], [1.5], [1.5]),
        ("FP32", [0, 3], [], []),
    ],
)
def test_numbers_become_an_array_of_shape_and_datatype(datatype, shape, data, expected):
    made = decoded(datatype=datatype, shape=shape, data=data)

    assert made.dtype == to_dtype(Datatype(datatype))
    assert made.shape == tuple(shape)
    assert made.tolist() == expected


@pytest.mark.parametrize(
    ("shape", "data", "kind", "expected"),
    [
        ([2], ["a", "bc"], "U", ["a", "bc"]),
        ([2, 1], ["a", "bc"], "U", [["a"], ["bc"]]),
        ([1], "bare", "U", ["bare"]),
        ([2], [b"a", b"\xff\0"], "O", [b"a", b"\xff\0"]),
        ([2], ["a", b"b"], "O", ["a", b"b"]),
        ([2], ["a", None], "O", ["a", None]),
        ([2, 1], [["a"], ["bc"]], "U", [["a"], ["bc"]]),
        ([2, 2], [[b"a", b"b"], [b"c", b"d"]], "O", [[b"a", b"b"], [b"c", b"d"]]),
        ([2], ["a\0", "b"], "O", ["a\0", "b"]),
        ([0], [], "U", []),
        ([0, 2], [], "U", []),
    ],
)
def test_text_and_bytes_become_an_array_without_loss(shape, data, kind, expected):
    made = decoded(datatype="BYTES", shape=shape, data=data)

    assert made.dtype.kind == kind
    assert made.shape == tuple(shape)
    assert made.tolist() == expected


def test_bytes_with_fewer_elements_than_the_shape_stay_flat():
    assert decoded(datatype="BYTES", shape=[2, 3], data=["a", "b"][:1]).tolist() == ["a"]
    assert decoded(datatype="BYTES", shape=[2, 2], data=["a", "b"]).tolist() == ["a", "b"]


def test_data_that_does_not_fit_is_refused_as_at_admission():
    with pytest.raises(InvalidRequest) as caught:
        decoded(datatype="INT8", data=[1, 300])

    assert str(caught.value) == "tensor 'x': the value 300 does not fit datatype INT8"


def test_an_array_is_decoded_without_a_copy():
    array = np.zeros(4, np.float32)

    assert np.shares_memory(decoded(shape=[2, 2], data=array), array)


@pytest.mark.parametrize(
    "array", [np.frombuffer(b"\0" * 8, np.float32), np.broadcast_to(np.float32(1), (2,))]
)
def test_a_decoded_array_is_writable(array):
    made = NumpyCodec.decode_input(RequestInput(name="x", shape=[2], datatype="FP32", data=array))
    made[0] = 7

    assert made[0] == 7
    assert array[0] != 7


# Encoding


@pytest.mark.parametrize(
    ("payload", "datatype", "shape", "data"),
    [
        (np.array([1, 2]), "INT64", [2, 1], [1, 2]),
        (np.array([[1, 2]], np.uint8), "UINT8", [1, 2], [[1, 2]]),
        (np.array(5.0), "FP64", [1], [5.0]),
        (np.float32(5), "FP32", [1], [5.0]),
        (np.array([True]), "BOOL", [1, 1], [True]),
        (np.array([1.5], ml_dtypes.bfloat16), "BF16", [1, 1], [1.5]),
        (np.array([1.5], ">f4"), "FP32", [1, 1], [1.5]),
        (np.array(["a", "bc"]), "BYTES", [2, 1], ["a", "bc"]),
        (np.array([b"a"]), "BYTES", [1, 1], [b"a"]),
        (np.array([["a", b"b"]], object), "BYTES", [1, 2], ["a", b"b"]),
        (np.array("a"), "BYTES", [1], ["a"]),
        (np.array(["a", None], object), "BYTES", [2, 1], ["a", None]),
        (np.empty((0, 3)), "FP64", [0, 3], []),
        ([1, 2], "INT64", [2, 1], [1, 2]),
    ],
)
def test_an_array_becomes_a_tensor(payload, datatype, shape, data):
    made = NumpyCodec.encode_output("y", payload)

    assert (made.name, made.datatype, made.shape) == ("y", datatype, shape)
    assert made.parameters == Parameters(content_type="np")
    assert list(made.data) == data
    assert len(made.data) == len(data)
    assert bool(made.data) is bool(data)


def test_an_input_is_encoded_as_an_output_is():
    made = NumpyCodec.encode_input("x", np.array([1.0]))

    assert made == RequestInput(
        name="x", shape=[1, 1], datatype="FP64", data=[1.0], parameters={"content_type": "np"}
    )


def test_encoding_does_not_copy_numbers():
    array = np.zeros((2, 2))

    assert np.shares_memory(NumpyCodec.encode_output("y", array).data.root, array)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (
            np.array([1, "a"], object),
            "an object array may hold str and bytes only, got int; give the array a numeric dtype",
        ),
        (
            np.array([{}], object),
            "an object array may hold str and bytes only, got dict; give the array a numeric dtype",
        ),
        (
            np.array([1j]),
            "numpy dtype complex128 has no V2 datatype; use one of bool, uint8, uint16, uint32, "
            "uint64, int8, int16, int32, int64, float16, float32, float64, bfloat16, object",
        ),
    ],
)
def test_what_has_no_datatype_is_refused_and_the_output_named(payload, text):
    with pytest.raises(CodecError) as caught:
        NumpyCodec.encode_output("y", payload)

    assert str(caught.value) == f"output 'y': {text}"


def test_arrays_and_nothing_else_find_this_codec():
    assert NumpyCodec.can_encode(np.zeros(1))
    assert NumpyRequestCodec.can_encode(np.zeros(1))
    assert not NumpyCodec.can_encode([1.0])
    assert not NumpyCodec.can_encode(np.float32(1))


# Round trips


@st.composite
def arrays(draw):
    """An array of any datatype with one to four dimensions."""
    datatype = draw(st.sampled_from(NUMBERS))
    shape = draw(nps.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    if datatype is Datatype.BF16:
        return draw(nps.arrays(np.uint16, shape)).view(ml_dtypes.bfloat16)
    return draw(nps.arrays(to_dtype(datatype), shape))


def with_columns(array):
    return array.reshape(-1, 1) if array.ndim == 1 else array


@settings(deadline=None, max_examples=100)
@given(arrays())
def test_any_array_is_decoded_as_it_was_encoded(array):
    request = NumpyRequestCodec.encode_request(array)
    made = NumpyRequestCodec.decode_request(request)

    assert made.dtype == array.dtype
    assert made.shape == with_columns(array).shape
    assert made.tobytes() == array.tobytes()


@settings(deadline=None, max_examples=80)
@given(st.lists(st.text() | st.binary(), max_size=6))
def test_any_text_and_bytes_are_decoded_as_they_were_encoded(elements):
    array = np.empty(len(elements), object)
    array[:] = elements

    made = NumpyCodec.decode_output(NumpyCodec.encode_output("y", array))

    assert made.shape == (len(elements), 1)
    assert made.reshape(-1).tolist() == elements


def test_one_long_text_among_short_ones_does_not_pad_them_all():
    texts = ["x" * 1_000_000, *["y"] * 50_000]  # as a str array 200 GB
    tensor = RequestInput(name="x", shape=[len(texts)], datatype="BYTES", data=texts)
    array = NumpyCodec.decode_input(tensor)
    assert array.dtype == object
    assert array.tolist() == texts


@pytest.mark.parametrize(
    ("shape", "data", "text"),
    [
        ([0, 2**63], [], "no dimension has a size above"),
        ([1] * 65, [1], "at most 64 dimensions"),
        ([0, 2**62, 4], [], "no numpy array can have its shape"),
    ],
)
def test_a_shape_that_no_array_can_have_is_refused_and_named(shape, data, text):
    tensor = RequestInput(name="x", shape=shape, datatype="FP64", data=data)
    with pytest.raises(InvalidRequest, match=f"tensor 'x': .*{text}"):
        NumpyCodec.decode_input(tensor)
