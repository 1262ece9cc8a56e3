"""Is this data a tensor of this datatype and shape? One answer for every transport."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlserver_core.errors import InvalidRequest
from mlserver_core.types.datatypes import FLOATS, Datatype, to_dtype

#: Numbers above this lose their last digits as a float, so such data is never read as one.
_EXACT_IN_FLOAT = 2**53


def to_elements(name: str, datatype: Datatype, shape: Sequence[int], data: Any) -> Any:
    """The elements of tensor ``name`` as the model gets them.

    Args:
        name: the tensor's name, for the error.
        datatype: what each element has to be.
        shape: the size of each dimension.
        data: an array, or (nested) lists of JSON values; for BYTES also a bare string.

    Returns:
        A numpy array of the datatype's dtype, flat or in ``shape`` as the data came; for
        BYTES the list of ``str`` or ``bytes``.

    Raises:
        InvalidRequest: names the tensor, what was expected and what came.
    """
    count = count_elements(name, shape)
    if datatype is Datatype.BYTES:
        return _to_strings(name, shape, count, data)
    array = data if isinstance(data, np.ndarray) else _parse(name, datatype, data)
    _check_size(name, shape, count, array)
    return _cast(name, datatype, array)


def to_values(name: str, datatype: Datatype, data: Any) -> np.ndarray:
    """As ``to_elements`` for numbers whose shape is not in question.

    Raises:
        InvalidRequest: as ``to_elements``.
    """
    array = data if isinstance(data, np.ndarray) else _parse(name, datatype, data)
    return _cast(name, datatype, array)


def count_elements(name: str, shape: Sequence[int]) -> int:
    """How many elements a shape has; raises InvalidRequest for a negative dimension."""
    for size in shape:
        if size < 0:
            raise InvalidRequest(
                f"tensor {name!r}: shape {list(shape)} has a negative dimension; "
                "a request gives the size of every dimension"
            )
    return math.prod(shape)


def _check_size(name: str, shape: Sequence[int], count: int, array: np.ndarray) -> None:
    if array.size != count:
        raise InvalidRequest(
            f"tensor {name!r}: shape {list(shape)} expects {count} elements, got {array.size}"
        )
    if array.ndim > 1 and array.shape != tuple(shape):
        raise InvalidRequest(
            f"tensor {name!r}: expected data flat or nested as shape {list(shape)}, "
            f"got data nested as {list(array.shape)}"
        )


def _parse(name: str, datatype: Datatype, data: Any) -> np.ndarray:
    """JSON values to the array numpy makes of them; ``null`` is NaN where floats are due."""
    if not isinstance(data, (list, tuple)):
        raise InvalidRequest(f"tensor {name!r}: expected a list of values, got {_kind(data)}")
    if not data:
        return np.empty(0, to_dtype(datatype))
    try:
        array = np.array(data)
    except (ValueError, TypeError, OverflowError):
        raise InvalidRequest(
            f"tensor {name!r}: data is nested unevenly; every row must have the same length"
        ) from None
    if array.dtype.kind == "O" or _may_be_inexact(datatype, array):
        return _parse_elements(name, datatype, data)
    return array


def _may_be_inexact(datatype: Datatype, array: np.ndarray) -> bool:
    """Did numpy make floats of what may have been large integers?"""
    if datatype in FLOATS or array.dtype.kind != "f":
        return False
    return bool((np.abs(array) >= _EXACT_IN_FLOAT).any())


def _parse_elements(name: str, datatype: Datatype, data: Any) -> np.ndarray:
    """Element by element, for data with nulls or with integers above 64 bits."""
    array = np.array(data, dtype=object)
    flat = array.reshape(-1)
    for index, value in enumerate(flat):
        if value is None and datatype in FLOATS:
            flat[index] = math.nan
        elif type(value) not in (int, float):
            raise InvalidRequest(
                f"tensor {name!r}: element {index} is {_kind(value)}, expected {datatype}"
            )
    if datatype not in FLOATS:
        return array
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise InvalidRequest(
            f"tensor {name!r}: an integer is too large for datatype {datatype}"
        ) from None


def _cast(name: str, datatype: Datatype, array: np.ndarray) -> np.ndarray:
    """The same values in the datatype's dtype; a value that does not fit is refused."""
    dtype = to_dtype(datatype)
    if array.dtype == dtype:
        return array
    made, misfits = _convert(datatype, array, dtype)
    if misfits.size:
        value = misfits[0]
        value = value.item() if isinstance(value, np.generic) else value
        raise InvalidRequest(f"tensor {name!r}: {_kind(value)} does not fit datatype {datatype}")
    return made


def _convert(
    datatype: Datatype, array: np.ndarray, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """The array in another dtype, and the elements for which that is no faithful copy."""
    kind, flat = array.dtype.kind, array.reshape(-1)
    if datatype is Datatype.BOOL:
        misfits = flat[:0] if kind == "b" else flat[(flat != 0) & (flat != 1)]
        return (array.astype(dtype), misfits) if kind in "biu" else (array, flat)
    if kind not in "iufO" and array.dtype.name != "bfloat16":
        return array, flat
    if datatype in FLOATS:
        with np.errstate(over="ignore"):
            made = array.astype(dtype)
        return made, flat[(np.isinf(made) & np.isfinite(array)).reshape(-1)]
    misfits = _not_integers(flat, dtype)
    return (array, misfits) if misfits.size else (array.astype(dtype), misfits)


def _not_integers(flat: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The elements that are no integer of ``dtype``."""
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    bad: Any
    if flat.dtype.kind in "iu":
        if not flat.size or (int(flat.min()) >= low and int(flat.max()) <= high):
            return flat[:0]
        bad = [not low <= value <= high for value in map(int, flat)]
    elif flat.dtype.kind == "f":
        # high + 1 is a power of two, so exact as a float; NaN is unequal to its own floor.
        bad = (flat != np.floor(flat)) | (flat < float(low)) | (flat >= float(high + 1))
    else:
        bad = [not (value == value // 1 and low <= value <= high) for value in flat]
    misfits: np.ndarray = flat[bad]
    return misfits


def _to_strings(name: str, shape: Sequence[int], count: int, data: Any) -> list[Any]:
    """BYTES elements. As MLServer's documented requests do, one string or ``shape[0]``
    strings may stand where the shape's product says otherwise.
    """
    if isinstance(data, (str, bytes)):
        data = [data]
    if isinstance(data, np.ndarray):
        data = data.tolist()
    if not isinstance(data, (list, tuple)):
        raise InvalidRequest(f"tensor {name!r}: expected a list of strings, got {_kind(data)}")
    elements = 0
    for value in _leaves(data):
        if not isinstance(value, (str, bytes, type(None))):
            raise InvalidRequest(
                f"tensor {name!r}: element {elements} is {_kind(value)}, expected a string"
            )
        elements += 1
    if elements not in (count, 1, *shape[:1]):
        raise InvalidRequest(
            f"tensor {name!r}: shape {list(shape)} expects {count} elements, got {elements}"
        )
    return data if isinstance(data, list) else list(data)


def _leaves(data: Sequence[Any]) -> Iterator[Any]:
    for value in data:
        if isinstance(value, (list, tuple)):
            yield from _leaves(value)
        else:
            yield value


def _kind(value: Any) -> str:
    """``value`` for an error message, with its JSON type where that is what is wrong."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the value {value}"
    if isinstance(value, (str, bytes)):
        return f"the string {value[:40]!r}"
    return "an object" if isinstance(value, dict) else "a list"
