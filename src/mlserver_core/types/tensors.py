"""Is this data a tensor of this datatype and shape? One answer for every transport."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlserver_core.errors import InvalidRequest
from mlserver_core.types.datatypes import FLOATS, Datatype, to_dtype

#: Numbers above this lose their last digits as a float, so such data is never read as one.
_EXACT_IN_FLOAT = 2**53
#: The JSON types each datatype takes; 1.0 is an integer, and 1 a truth value.
_ALLOWED = {
    datatype: frozenset(
        {float, int, type(None)}
        if datatype in FLOATS
        else {bool, int}
        if datatype is Datatype.BOOL
        else {float, int}
    )
    for datatype in Datatype
}
_NUMBERS = frozenset({int, float})
#: What the usual datatypes hold; the other ones are looked at in full.
_LIMITS: dict[Datatype, tuple[float, float]] = {
    datatype: (float(np.finfo(dtype).min), float(np.finfo(dtype).max))
    for datatype, dtype in ((Datatype.FP32, np.float32), (Datatype.FP64, np.float64))
} | {
    datatype: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for datatype, dtype in ((Datatype.INT32, np.int32), (Datatype.INT64, np.int64))
}
#: Elements that Python looks at faster than numpy.
_FEW = 64
_NESTS = (list, tuple, np.ndarray)
#: As many as numpy's arrays have.
_MOST_DIMENSIONS = 64
#: The largest size of a dimension, as the protocol's int64 has it.
_LARGEST = 2**63 - 1


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
    ready = (
        type(data) is np.ndarray
        and datatype is not Datatype.BYTES
        and data.dtype == to_dtype(datatype)
    )
    if ready and data.shape == tuple(shape):
        return data  # nothing that is looked for below can be wrong
    count = count_elements(name, shape)
    if ready and data.ndim == 1 and data.size == count:
        return data
    if datatype is Datatype.BYTES:
        return _to_strings(name, shape, count, data)
    if type(data) is list and len(data) == count <= _FEW and _fits(datatype, data):
        return np.array(data, to_dtype(datatype))
    array = _parse(name, datatype, data)
    _check_size(name, shape, count, array)
    return _cast(name, datatype, array)


def _fits(datatype: Datatype, data: list[Any]) -> bool:
    """Are these without doubt numbers that the datatype holds? A look at the smallest and the
    largest of a few takes less time than numpy's at each of them.
    """
    kinds = set(map(type, data))
    if not data or datatype not in _LIMITS or not kinds <= _NUMBERS:
        return False
    if float in kinds and datatype not in FLOATS:
        return False
    low, high = _LIMITS[datatype]
    return bool(low <= min(data) and max(data) <= high)


def to_values(name: str, datatype: Datatype, data: Any) -> np.ndarray:
    """As ``to_elements`` for numbers whose shape is not in question.

    Raises:
        InvalidRequest: as ``to_elements``.
    """
    array = _parse(name, datatype, data)
    return _cast(name, datatype, array)


def count_elements(name: str, shape: Sequence[int]) -> int:
    """How many elements a shape has.

    Raises:
        InvalidRequest: more dimensions than arrays have, or a size that none has.
    """
    if len(shape) > _MOST_DIMENSIONS:
        raise InvalidRequest(
            f"tensor {name!r}: expected at most {_MOST_DIMENSIONS} dimensions in its shape, "
            f"got {len(shape)}"
        )
    for size in shape:
        if size > _LARGEST:
            raise InvalidRequest(f"tensor {name!r}: no dimension has a size above {_LARGEST}")
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
    if array.ndim > 1 and count and array.shape != tuple(shape):
        raise InvalidRequest(
            f"tensor {name!r}: expected data flat or nested as shape {list(shape)}, "
            f"got data nested as {list(array.shape)}"
        )


def _parse(name: str, datatype: Datatype, data: Any) -> np.ndarray:
    """JSON values as an array; which of them are allowed is told by their types.

    The types are looked at before numpy sees the values: it would make numbers of text and
    booleans, and pad every string to the longest one.
    """
    if isinstance(data, np.ndarray):
        if data.dtype.kind != "O":
            return data
        data = data.tolist()
    if not isinstance(data, (list, tuple)):
        raise InvalidRequest(f"tensor {name!r}: expected a list of values, got {_kind(data)}")
    leaves = flatten(name, data)
    allowed = _ALLOWED[datatype]
    kinds = set(map(type, leaves))
    if not kinds <= allowed:
        kinds = set(map(_plain_kind, kinds))
    if not kinds <= allowed:
        index = next(i for i, leaf in enumerate(leaves) if _plain_kind(type(leaf)) not in allowed)
        raise InvalidRequest(
            f"tensor {name!r}: element {index} is {_kind(leaves[index])}, expected {datatype}"
        )
    try:
        return _to_array(datatype, data, leaves, kinds)
    except ValueError:
        raise InvalidRequest(
            f"tensor {name!r}: data is nested unevenly; every row must have the same length"
        ) from None
    except OverflowError:
        raise InvalidRequest(
            f"tensor {name!r}: an integer is too large for datatype {datatype}"
        ) from None


def _to_array(datatype: Datatype, data: Any, leaves: list[Any], kinds: set[type]) -> np.ndarray:
    """Numbers as an array that holds them exactly; ``None`` becomes NaN."""
    if datatype in FLOATS:
        return np.array(data, dtype=np.float64)
    if kinds <= {bool}:
        return np.array(data, dtype=bool)
    exact = all(-_EXACT_IN_FLOAT < leaf < _EXACT_IN_FLOAT for leaf in (min(leaves), max(leaves)))
    if exact:
        return np.array(data)
    made = np.array(data, dtype=object)
    if not set(map(type, made.flat)).isdisjoint(_NESTS):  # numpy takes a row for an object
        raise ValueError("nested unevenly")
    return made


def _plain_kind(kind: type) -> type:
    """The Python type that a type stands for: numpy's scalars count as what they hold."""
    for plain, numpys in ((bool, np.bool_), (int, np.integer), (float, np.floating)):
        if issubclass(kind, numpys):
            return plain
    return kind


def _cast(name: str, datatype: Datatype, array: np.ndarray) -> np.ndarray:
    """The same values in the datatype's dtype; a value that does not fit is refused."""
    dtype = to_dtype(datatype)
    if array.dtype == dtype:
        return array
    if not array.size:
        return np.empty(array.shape, dtype)
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
        return (array.astype(dtype), misfits) if kind in "biuO" else (array, flat)
    if kind not in "iufO" and array.dtype.name != "bfloat16":
        return array, flat
    if datatype in FLOATS:
        with np.errstate(over="ignore"):
            made = array.astype(dtype)
        infinite = np.isinf(made)
        if not np.count_nonzero(infinite):
            return made, flat[:0]
        return made, flat[(infinite & np.isfinite(array)).reshape(-1)]
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
    elements = flatten(name, data)
    for index, value in enumerate(elements):
        if not isinstance(value, (str, bytes, type(None))):
            raise InvalidRequest(
                f"tensor {name!r}: element {index} is {_kind(value)}, expected a string"
            )
    if len(elements) not in (count, 1, *shape[:1]):
        raise InvalidRequest(
            f"tensor {name!r}: shape {list(shape)} expects {count} elements, got {len(elements)}"
        )
    return elements


def flatten(name: str, data: Sequence[Any]) -> list[Any]:
    """The elements of nested lists; raises InvalidRequest for more levels than arrays have."""
    elements = list(data)
    for _ in range(_MOST_DIMENSIONS):
        if set(map(type, elements)).isdisjoint(_NESTS):
            return elements
        rows = (value if type(value) in _NESTS else (value,) for value in elements)
        elements = list(itertools.chain.from_iterable(rows))
    raise InvalidRequest(f"tensor {name!r}: data is nested in more than {_MOST_DIMENSIONS} levels")


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
    if isinstance(value, (list, tuple, np.ndarray)):
        return "a list"
    return "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
