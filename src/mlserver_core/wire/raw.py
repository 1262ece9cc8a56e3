"""Raw tensors: little-endian, row-major, unpadded (Triton's binary tensor data extension).

A BYTES element is a 4-byte little-endian length and that many bytes; a BOOL is one byte.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Datatype
from mlserver_core.types.datatypes import to_dtype
from mlserver_core.types.tensors import count_elements

#: Bytes, which a view saves a copy of.
Buffer = bytes | memoryview


def encode_raw(values: Any) -> bytes:
    """The raw buffer of a flat array, or of a list of ``bytes``."""
    return b"".join(raw_parts(values))


def raw_parts(values: Any) -> list[Any]:
    """The raw buffer as pieces to be joined, which for numbers are the array's own memory.

    Args:
        values: a flat array, or a list of ``bytes``.
    """
    if isinstance(values, list):
        return [part for value in values for part in (struct.pack("<I", len(value)), value)]
    little: np.ndarray = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return [np.ascontiguousarray(little).view(np.uint8).data]


def decode_raw(name: str, datatype: Datatype, shape: Sequence[int], raw: Buffer) -> Any:
    """The elements in a raw buffer.

    Args:
        name: the tensor's name, for the error.
        datatype: of each element.
        shape: the size of each dimension.
        raw: the buffer. A writable one becomes the array's memory, where it is aligned.

    Returns:
        A flat array, writable; for BYTES a list of ``bytes``.

    Raises:
        InvalidRequest: the buffer's size is not what shape and datatype say.
    """
    count = count_elements(name, shape)
    if datatype is Datatype.BYTES:
        # One more than expected says enough: a buffer of zeros has an element in every 4 bytes.
        elements = list(itertools.islice(_split_bytes(name, raw), count + 1))
        if len(elements) != count:
            got = "more" if len(elements) > count else len(elements)
            raise InvalidRequest(
                f"tensor {name!r}: shape {list(shape)} expects {count} elements, "
                f"got {got} in the raw buffer"
            )
        return elements
    dtype = to_dtype(datatype)
    if len(raw) != count * dtype.itemsize:
        raise InvalidRequest(
            f"tensor {name!r}: shape {list(shape)} of {datatype} expects "
            f"{count * dtype.itemsize} bytes, got {len(raw)}"
        )
    if datatype is Datatype.BOOL:
        return np.frombuffer(raw, np.uint8) != 0
    values = np.frombuffer(raw, dtype.newbyteorder("<"))
    ours = values.flags.writeable and values.flags.aligned
    return values.astype(dtype, copy=not ours)


def _split_bytes(name: str, raw: Buffer) -> Iterator[bytes]:
    offset = 0
    while offset < len(raw):
        start = offset + 4
        end = start + struct.unpack_from("<I", raw, offset)[0] if start <= len(raw) else math.inf
        if end > len(raw):
            raise InvalidRequest(
                f"tensor {name!r}: the raw buffer ends within an element; each is a 4-byte "
                "little-endian length and that many bytes"
            )
        yield bytes(raw[start : int(end)])
        offset = int(end)
