"""The tensor datatypes of the protocol and the numpy dtypes that hold them."""

from __future__ import annotations

import enum
import functools

import numpy as np

from mlserver_core.errors import InvalidRequest


class Datatype(str, enum.Enum):
    """A V2 datatype; a member compares equal to its name (``Datatype.FP32 == "FP32"``)."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    BYTES = "BYTES"

    __str__ = str.__str__


def to_member(value: Datatype | str) -> Datatype:
    """The datatype of that name; raises ValueError for a name that is none."""
    kind = type(value)
    if kind is Datatype:
        return value  # type: ignore[return-value]  # mypy does not narrow by type()
    found = _MEMBERS.get(value) if kind is str else None
    return Datatype(value) if found is None else found


#: By name; to ask the enumeration takes five times as long.
_MEMBERS = {datatype.value: datatype for datatype in Datatype}
_NUMPY_NAMES = {
    Datatype.BOOL: "bool",
    Datatype.UINT8: "uint8",
    Datatype.UINT16: "uint16",
    Datatype.UINT32: "uint32",
    Datatype.UINT64: "uint64",
    Datatype.INT8: "int8",
    Datatype.INT16: "int16",
    Datatype.INT32: "int32",
    Datatype.INT64: "int64",
    Datatype.FP16: "float16",
    Datatype.FP32: "float32",
    Datatype.FP64: "float64",
    Datatype.BF16: "bfloat16",
    Datatype.BYTES: "object",
}
_DATATYPES = {name: datatype for datatype, name in _NUMPY_NAMES.items()}
#: A dtype's name is put together each time that it is asked for.
_BY_DTYPE = {
    np.dtype(name): datatype for name, datatype in _DATATYPES.items() if name != "bfloat16"
}

#: Datatypes whose values are real numbers, so that ``null`` means NaN.
FLOATS = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16})


@functools.cache
def to_dtype(datatype: Datatype) -> np.dtype:
    """The numpy dtype that holds ``datatype``; ``object`` for BYTES.

    Raises:
        InvalidRequest: BF16 without the ``ml_dtypes`` package.
    """
    if datatype is Datatype.BF16:
        return _bfloat16()
    return np.dtype(_NUMPY_NAMES[datatype])


def to_datatype(dtype: np.dtype) -> Datatype:
    """The V2 datatype of a numpy dtype; strings, bytes and objects are BYTES.

    Raises:
        InvalidRequest: a dtype the protocol has no datatype for, such as complex128.
    """
    found = _BY_DTYPE.get(dtype)
    if found is not None:
        return found
    if dtype.kind in "OSU":
        return Datatype.BYTES
    try:
        return _DATATYPES[dtype.name]
    except KeyError:
        raise InvalidRequest(
            f"numpy dtype {dtype.name} has no V2 datatype; use one of {', '.join(_DATATYPES)}"
        ) from None


def _bfloat16() -> np.dtype:
    try:
        import ml_dtypes
    except ImportError:
        raise InvalidRequest(
            "datatype BF16 needs the package ml_dtypes on the server: "
            "pip install 'mlserver-core[bf16]'"
        ) from None
    dtype: np.dtype = np.dtype(ml_dtypes.bfloat16)
    return dtype
