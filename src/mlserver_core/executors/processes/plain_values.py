"""Forms of plain values that JSON does not have, of containers and of arrays."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import math
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlserver_core.executors.processes.packing import (
    AS_IS,
    FORM,
    Packer,
    PackForm,
    Unpacker,
    UnpackForm,
    Unsendable,
)

#: Integers that JSON is read back exactly with.
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_STRINGS = frozenset({str, bytes, type(None)})
#: How an element of a list of strings came.
_NONE, _TEXT, _BYTES = 0, 1, 2
#: Lone surrogates, which are in names of files and in headers that were no UTF-8, are kept.
_ENCODING = ("utf-8", "surrogatepass")
_KEYS = (str, int, float, type(None))


def form(name: str, value: Any) -> dict[str, Any]:
    """The node of a value in the form ``name``."""
    return {FORM: name, "v": value}


def _pack_text(_: Packer, value: str) -> str:
    return str.__str__(value)


def _pack_integer(_: Packer, value: int) -> Any:
    value = int(value)
    return value if _SMALLEST <= value <= _LARGEST else form("integer", hex(value))


def _unpack_integer(_: Unpacker, node: str) -> int:
    return int(node, 16)


def _pack_float(_: Packer, value: float) -> Any:
    value = float(value)
    return value if math.isfinite(value) else form("float", repr(value))


def _unpack_float(_: Unpacker, node: str) -> float:
    return float(node)


def _pack_scalar(packer: Packer, value: np.generic) -> Any:
    plain = value.item()
    if isinstance(plain, np.generic):
        raise Unsendable(f"expected a plain number, got {type(value).__name__}")
    return packer.pack(plain)


def _pack_enum(packer: Packer, value: enum.Enum) -> Any:
    return packer.pack(value.value)


def _pack_bytes(packer: Packer, value: bytes | bytearray | memoryview) -> Any:
    data = bytes(value) if isinstance(value, memoryview) else value
    return form("bytes", (packer.put(data), len(data)))


def _unpack_bytes(unpacker: Unpacker, node: Any) -> bytes:
    return unpacker.take(*node)


def _pack_list(packer: Packer, value: list[Any] | tuple[Any, ...]) -> Any:
    kinds = set(map(type, value))
    if kinds <= AS_IS:
        return value
    if kinds <= _STRINGS:
        return _pack_strings(packer, value)
    packed: list[Any] = []
    try:
        packed.extend(map(packer.pack, value))  # one by one, so its length tells the place
    except Unsendable as error:
        raise error.under(f"[{len(packed)}]") from None
    return packed


def _pack_strings(packer: Packer, value: list[Any] | tuple[Any, ...]) -> Any:
    """Many bytes as one piece, since each piece has its cost."""
    kinds = bytes(
        _NONE if each is None else _TEXT if type(each) is str else _BYTES for each in value
    )
    data = [
        b"" if each is None else each.encode(*_ENCODING) if type(each) is str else each
        for each in value
    ]
    ends = np.fromiter(itertools.accumulate(map(len, data)), np.int64, len(data))
    joined = b"".join(data)
    return form(
        "strings", (packer.put(kinds), packer.put_array(ends), packer.put(joined), len(joined))
    )


def _unpack_strings(unpacker: Unpacker, node: Any) -> list[str | bytes | None]:
    kinds_at, ends_at, joined_at, size = node
    ends = unpacker.take_array(*ends_at).tolist()
    kinds, joined = unpacker.take(kinds_at, len(ends)), unpacker.take(joined_at, size)
    pieces = [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [
        piece if kind == _BYTES else piece.decode(*_ENCODING) if kind == _TEXT else None
        for kind, piece in zip(kinds, pieces, strict=True)
    ]


def _pack_tuple(packer: Packer, value: tuple[Any, ...]) -> Any:
    return form("tuple", _pack_list(packer, value))


def _unpack_tuple(unpacker: Unpacker, node: Any) -> tuple[Any, ...]:
    return tuple(unpacker.unpack(node))


def _pack_dict(packer: Packer, value: Mapping[Any, Any]) -> Any:
    packed = {}
    for name, each in value.items():
        if type(name) is not str or name == FORM:
            return _pack_pairs(packer, value)
        try:
            packed[name] = each if type(each) in AS_IS else packer.pack(each)
        except Unsendable as error:
            raise error.under(f".{name}") from None
    return packed


def _pack_pairs(packer: Packer, value: Mapping[Any, Any]) -> Any:
    pairs = []
    for name, each in value.items():
        if not isinstance(name, _KEYS):
            raise Unsendable(f"expected text as the name of a value, got {type(name).__name__}")
        try:
            pairs.append((packer.pack(name), packer.pack(each)))
        except Unsendable as error:
            raise error.under(f".{name}") from None
    return form("dict", pairs)


def _unpack_pairs(unpacker: Unpacker, node: Any) -> dict[Any, Any]:
    return {unpacker.unpack(name): unpacker.unpack(each) for name, each in node}


def _pack_array(packer: Packer, value: np.ndarray) -> Any:
    if value.dtype.kind != "O":
        return form("array", packer.put_array(value))
    return form("objects", (value.shape, packer.pack(value.reshape(-1).tolist())))


def _unpack_array(unpacker: Unpacker, node: Any) -> np.ndarray:
    return unpacker.take_array(*node)


def _unpack_objects(unpacker: Unpacker, node: Any) -> np.ndarray:
    shape, packed = node
    elements = unpacker.unpack(packed)
    flat = np.empty(len(elements), dtype=object)
    for index, element in enumerate(elements):  # numpy would take lists in it for dimensions
        flat[index] = element
    array: np.ndarray = flat.reshape(shape)
    return array


def _pack_iso(_: Packer, value: dt.datetime | dt.date | dt.time) -> Any:
    if type(value) not in (dt.datetime, dt.date, dt.time):
        raise Unsendable(f"expected a plain date or time, got {type(value).__name__}")
    return form(type(value).__name__, value.isoformat())


def _pack_uuid(_: Packer, value: uuid.UUID) -> Any:
    return form("uuid", str(value))


def _pack_path(_: Packer, value: pathlib.PurePath) -> Any:
    return form("path", str(value))


PACK: dict[type, PackForm] = {
    bool: lambda _, value: value,
    str: _pack_text,
    int: _pack_integer,
    float: _pack_float,
    enum.Enum: _pack_enum,
    np.generic: _pack_scalar,
    bytes: _pack_bytes,
    bytearray: _pack_bytes,
    memoryview: _pack_bytes,
    list: _pack_list,
    tuple: _pack_tuple,
    dict: _pack_dict,
    np.ndarray: _pack_array,
    dt.datetime: _pack_iso,
    dt.date: _pack_iso,
    dt.time: _pack_iso,
    uuid.UUID: _pack_uuid,
    pathlib.PurePath: _pack_path,
}
UNPACK: dict[str, UnpackForm] = {
    "integer": _unpack_integer,
    "float": _unpack_float,
    "bytes": _unpack_bytes,
    "strings": _unpack_strings,
    "tuple": _unpack_tuple,
    "dict": _unpack_pairs,
    "array": _unpack_array,
    "objects": _unpack_objects,
    "datetime": lambda _, node: dt.datetime.fromisoformat(node),
    "date": lambda _, node: dt.date.fromisoformat(node),
    "time": lambda _, node: dt.time.fromisoformat(node),
    "uuid": lambda _, node: uuid.UUID(node),
    "path": lambda _, node: pathlib.Path(node),
}
