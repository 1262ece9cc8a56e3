"""Names of datatypes and the numpy dtypes behind them."""

import copy
import pickle

import ml_dtypes
import numpy as np
import pytest

from mlserver_core.errors import InvalidRequest
from mlserver_core.types.datatypes import FLOATS, Datatype, to_datatype, to_dtype, to_member

DTYPES = {
    Datatype.BOOL: np.dtype(bool),
    Datatype.UINT8: np.dtype(np.uint8),
    Datatype.UINT16: np.dtype(np.uint16),
    Datatype.UINT32: np.dtype(np.uint32),
    Datatype.UINT64: np.dtype(np.uint64),
    Datatype.INT8: np.dtype(np.int8),
    Datatype.INT16: np.dtype(np.int16),
    Datatype.INT32: np.dtype(np.int32),
    Datatype.INT64: np.dtype(np.int64),
    Datatype.FP16: np.dtype(np.float16),
    Datatype.FP32: np.dtype(np.float32),
    Datatype.FP64: np.dtype(np.float64),
    Datatype.BF16: np.dtype(ml_dtypes.bfloat16),
    Datatype.BYTES: np.dtype(object),
}


@pytest.mark.parametrize("datatype", Datatype)
def test_a_datatype_is_the_text_of_its_name(datatype):
    assert datatype == datatype.name
    assert str(datatype) == datatype.name
    assert f"{datatype}" == datatype.name
    assert hash(datatype) == hash(datatype.name)
    assert Datatype(datatype.name) is datatype


@pytest.mark.parametrize("datatype", Datatype)
def test_a_member_is_found_by_its_name_and_stays_itself(datatype):
    assert to_member(datatype.name) is datatype
    assert to_member(datatype) is datatype


@pytest.mark.parametrize("value", ["fp32", "", None, 5, [], {}])
def test_what_is_no_datatype_is_refused(value):
    with pytest.raises(ValueError, match="is not a valid Datatype"):
        to_member(value)


def test_bytes_equals_the_plain_string():
    assert Datatype.BYTES == "BYTES"
    assert Datatype.BYTES != "STRING"
    assert {"BYTES": 1}[Datatype.BYTES] == 1


def test_copies_are_the_same_member():
    assert copy.deepcopy(Datatype.FP32) is Datatype.FP32
    assert pickle.loads(pickle.dumps(Datatype.FP32)) is Datatype.FP32


@pytest.mark.parametrize("datatype", Datatype)
def test_dtype_of_each_datatype(datatype):
    assert to_dtype(datatype) == DTYPES[datatype]


@pytest.mark.parametrize("datatype", Datatype)
def test_datatype_of_each_dtype(datatype):
    assert to_datatype(DTYPES[datatype]) is datatype


@pytest.mark.parametrize("dtype", ["U5", "S5", "O"])
def test_text_bytes_and_objects_are_bytes(dtype):
    assert to_datatype(np.dtype(dtype)) is Datatype.BYTES


@pytest.mark.parametrize("dtype", [">f4", "<f4", "=f4"])
def test_byte_order_does_not_change_the_datatype(dtype):
    assert to_datatype(np.dtype(dtype)) is Datatype.FP32


@pytest.mark.parametrize("dtype", ["complex128", "datetime64[s]", "timedelta64[s]"])
def test_a_dtype_without_datatype_is_refused_and_named(dtype):
    with pytest.raises(InvalidRequest) as caught:
        to_datatype(np.dtype(dtype))

    assert str(caught.value) == (
        f"numpy dtype {dtype} has no V2 datatype; use one of bool, uint8, uint16, uint32, uint64, "
        "int8, int16, int32, int64, float16, float32, float64, bfloat16, object"
    )


def test_a_type_that_shares_numpys_character_with_another_is_not_taken_for_it():
    narrow = np.dtype(ml_dtypes.float8_e4m3b11fnuz)
    assert narrow.char == np.dtype("uint64").char
    with pytest.raises(InvalidRequest, match="float8_e4m3b11fnuz has no V2 datatype"):
        to_datatype(narrow)


def test_floats_are_the_four_float_datatypes():
    assert {Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16} == FLOATS
