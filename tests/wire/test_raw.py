"""Raw tensors: little-endian, row-major, unpadded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Datatype
from mlserver_core.types.datatypes import to_dtype
from mlserver_core.wire.raw import decode_raw, encode_raw

D = Datatype
NUMBERS = [each for each in D if each not in (D.BYTES, D.BF16)]  # numpy draws no bfloat16


@pytest.mark.parametrize(
    ("values", "raw"),
    [
        (np.array([1, 258], np.uint16), b"\1\0\2\1"),
        (np.array([1, 258], ">u2"), b"\1\0\2\1"),
        (np.array([True, False]), b"\1\0"),
        (np.array([1.0], np.float16), b"\0\x3c"),
        (np.empty(0), b""),
        ([b"a", b"", b"bc"], b"\1\0\0\0a\0\0\0\0\2\0\0\0bc"),
        ([], b""),
    ],
)
def test_elements_are_written_little_endian(values, raw):
    assert encode_raw(values) == raw


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "values"),
    [
        (D.UINT16, [2], b"\1\0\2\1", [1, 258]),
        (D.BOOL, [3], b"\0\1\xff", [False, True, True]),
        (D.BF16, [1], b"\x80\x3f", [1.0]),
        (D.FP32, [], b"\0\0\x80\x3f", [1.0]),
        (D.FP32, [0, 5], b"", []),
    ],
)
def test_numbers_are_read_into_a_flat_writable_array(datatype, shape, raw, values):
    made = decode_raw("x", datatype, shape, raw)

    assert made.tolist() == values
    assert made.dtype == to_dtype(datatype)
    assert made.ndim == 1
    assert made.flags.writeable


@pytest.mark.parametrize("datatype", [each for each in D if each is not D.BYTES])
@pytest.mark.parametrize("start", [16, 17], ids=["aligned", "one off"])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_numbers_may_be_changed_wherever_they_come_from(datatype, start, kind):
    raw = memoryview(kind(start + 16))[start:]
    made = decode_raw("x", datatype, [16 // to_dtype(datatype).itemsize], raw)
    made[:] = 1
    assert made.flags.aligned
    assert made.all()


def test_numbers_stay_where_they_are_if_they_may_be_changed_there():
    body = bytearray(16 + 16)
    for start, stay in ((16, True), (8, True), (15, False)):
        made = decode_raw("x", D.FP64, [1], memoryview(body)[start : start + 8])
        assert np.shares_memory(made, np.frombuffer(body, np.uint8)) is stay


def test_bytes_are_split_by_their_lengths():
    assert decode_raw("x", D.BYTES, [3, 1], b"\1\0\0\0a\0\0\0\0\2\0\0\0bc") == [b"a", b"", b"bc"]
    assert decode_raw("x", D.BYTES, [0], b"") == []


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "text"),
    [
        (D.FP32, [1], b"12", "shape [1] of FP32 expects 4 bytes, got 2"),
        (
            D.FP32,
            [2**40, 2**40],
            b"",
            f"shape [{2**40}, {2**40}] of FP32 expects {2**82} bytes, got 0",
        ),
        (D.BYTES, [2], b"\0\0\0\0", "shape [2] expects 2 elements, got 1 in the raw buffer"),
        (
            D.BYTES,
            [1],
            b"\5\0\0\0a",
            "the raw buffer ends within an element; each is a 4-byte little-endian length and "
            "that many bytes",
        ),
        (
            D.BYTES,
            [-1],
            b"",
            "shape [-1] has a negative dimension; a request gives the size of every dimension",
        ),
    ],
)
def test_a_buffer_of_another_size_is_refused(datatype, shape, raw, text):
    with pytest.raises(InvalidRequest) as caught:
        decode_raw("x", datatype, shape, raw)

    assert str(caught.value) == f"tensor 'x': {text}"


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(NUMBERS), st.data())
def test_any_numbers_written_are_read_back(datatype, data):
    array = data.draw(nps.arrays(to_dtype(datatype), st.integers(0, 8)))

    made = decode_raw("x", datatype, [array.size], encode_raw(array))

    assert made.dtype == array.dtype
    assert made.tobytes() == array.tobytes()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=300)))
def test_any_bytes_written_are_read_back(elements):
    assert decode_raw("x", D.BYTES, [len(elements)], encode_raw(elements)) == elements


def test_elements_beyond_those_expected_are_not_looked_at():
    with pytest.raises(InvalidRequest, match=r"shape \[1\] expects 1 elements, got more"):
        decode_raw("x", Datatype.BYTES, [1], bytes(4 * 10**6) + b"no element")
