"""Whatever a codec encodes is the same after each wire."""

from datetime import datetime, timedelta, timezone

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.codecs import (
    Base64Codec,
    DatetimeCodec,
    JSONCodec,
    NumpyCodec,
    NumpyRequestCodec,
    StringCodec,
)
from mlserver_core.types import Datatype, InferenceRequest
from mlserver_core.types.datatypes import FLOATS, to_dtype

NUMBERS = [each for each in Datatype if each is not Datatype.BYTES]
ZONES = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
examples = settings(deadline=None, max_examples=60)


@st.composite
def arrays(draw):
    datatype = draw(st.sampled_from(NUMBERS))
    shape = draw(nps.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4))
    if datatype is Datatype.BF16:
        return draw(nps.arrays(np.uint16, shape)).view(ml_dtypes.bfloat16)
    return draw(nps.arrays(to_dtype(datatype), shape))


def carried(wire, codec, payload):
    request = wire(InferenceRequest(inputs=[codec.encode_input("x", payload)]))
    return codec.decode_input(request.inputs[0])


@examples
@given(array=arrays())
def test_arrays_of_every_datatype(wire, array):
    datatype = NumpyCodec.encode_input("x", array).datatype
    if wire.name == "json" and datatype in FLOATS:  # documented: JSON has no infinities
        array = np.where(np.isinf(array), np.nan, array).astype(array.dtype)

    request = wire(NumpyRequestCodec.encode_request(array))
    made = NumpyRequestCodec.decode_request(request)

    assert made.dtype == array.dtype
    if datatype is Datatype.BF16:  # numpy's comparison does not know its NaN
        with np.errstate(invalid="ignore"):
            made, array = made.astype("float64"), array.astype("float64")
    np.testing.assert_array_equal(made, array)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_nan_and_infinities_of_every_float(wire, dtype):
    array = np.array([[np.nan, 1.5, np.inf, -np.inf]]).astype(
        ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    )
    made = carried(wire, NumpyCodec, array).astype("float64")

    lost = [np.nan, np.nan] if wire.name == "json" else [np.inf, -np.inf]
    np.testing.assert_array_equal(made, [[np.nan, 1.5, *lost]])


@examples
@given(payload=st.lists(st.text(), max_size=5))
def test_unicode(wire, payload):
    assert carried(wire, StringCodec, payload) == payload


@examples
@given(payload=st.lists(st.binary(), max_size=5))
def test_bytes_of_unequal_length(wire, payload):
    assert carried(wire, Base64Codec, payload) == payload
    if wire.name != "json":  # JSON has no bytes: base64 is for that
        array = np.empty((len(payload), 1), object)
        array[:, 0] = payload
        assert carried(wire, NumpyCodec, array).reshape(-1).tolist() == payload


@examples
@given(payload=st.lists(st.datetimes(timezones=st.none() | ZONES) | st.none(), max_size=5))
def test_times(wire, payload):
    made = carried(wire, DatetimeCodec, payload)
    assert made == payload
    assert [each and each.utcoffset() for each in made] == [
        each and each.utcoffset() for each in payload
    ]


@examples
@given(payload=st.lists(JSON_VALUES, max_size=4))
def test_json_values(wire, payload):
    assert carried(wire, JSONCodec, payload) == payload


@pytest.mark.parametrize("codec", [StringCodec, Base64Codec, DatetimeCodec, JSONCodec])
def test_no_elements_at_all(wire, codec):
    assert carried(wire, codec, []) == []


# Fault W13 of MLServer: one blob, padded to the longest


def test_s_arrays_are_sent_element_by_element(wire):
    array = np.array([[b"a"], [b"longer"]])

    tensor = NumpyCodec.encode_input("x", array)
    assert (tensor.shape, list(tensor.data)) == ([2, 1], [b"a", b"longer"])
    made = carried(wire, NumpyCodec, array)
    assert [str(each, "ascii") if isinstance(each, bytes) else each for each in made.flat] == [
        "a",
        "longer",
    ]


def test_bytes_of_differing_lengths_are_decodable_with_np(wire):
    made = carried(wire, NumpyCodec, np.array([["a"], ["longer"]]))
    assert made.shape == (2, 1)
    assert [each.decode() if isinstance(each, bytes) else each for each in made.flat] == [
        "a",
        "longer",
    ]


def test_a_time_is_a_datetime_again_and_naive_stays_naive(wire):
    payload = [datetime(2026, 1, 31, 12), datetime(2026, 1, 31, 12, tzinfo=timezone.utc)]  # noqa: DTZ001
    assert [each.tzinfo for each in carried(wire, DatetimeCodec, payload)] == [None, timezone.utc]
