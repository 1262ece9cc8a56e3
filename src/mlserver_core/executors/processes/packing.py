"""Packs trees of values as JSON with a payload of raw bytes beside it, and unpacks them.

What JSON has stands for itself. All else is an object ``{"$": form, "v": ...}``; each form is a
pair of functions in the tables that ``values`` puts together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Datatype
from mlserver_core.types.datatypes import to_dtype

#: The key that marks a form.
FORM = "$"
#: Types of values that JSON carries as they are.
AS_IS = frozenset({str, bool, type(None)})
#: Types of nodes that are their own value.
_PLAIN = AS_IS | {int, float}
#: Buffers begin at multiples of this many bytes.
ALIGNMENT = 64
#: Below this many bytes a copy costs less than a view.
_SMALL = 2048
_PADDING = bytes(ALIGNMENT)
#: Kinds of numpy dtypes whose arrays are their bytes.
_RAW_KINDS = frozenset("biufcSUMm")
_BFLOAT16 = "bfloat16"

PackForm = Callable[["Packer", Any], Any]
UnpackForm = Callable[["Unpacker", Any], Any]


class Unsendable(Exception):
    """A value has no form; ``path`` says where it stands."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path = ""

    def under(self, name: str) -> Unsendable:
        """The same, seen from the object that has the value as ``.name`` or ``[index]``."""
        self.path = name + self.path
        return self

    def __str__(self) -> str:
        path = self.path.removeprefix(".")
        return f"{path}: {self.args[0]}" if path else str(self.args[0])


class Packer:
    """Packs one tree.

    Attributes:
        buffers: the payload, in pieces; some are views of the arrays that were packed.
        size: bytes of the payload.
        shared_headers: headers that the tree refers to by their index.
    """

    __slots__ = ("_forms", "_known", "buffers", "shared_headers", "size")

    def __init__(self, forms: Mapping[type, PackForm]) -> None:
        self.buffers: list[Any] = []
        self.size = 0
        self.shared_headers: list[dict[str, str]] = []
        self._forms = forms
        self._known: dict[tuple[Any, ...], int] = {}

    def pack(self, value: Any) -> Any:
        """The JSON of a value.

        Raises:
            Unsendable: it has no form.
        """
        kind = type(value)
        if kind in AS_IS:
            return value
        form = self._forms.get(kind)
        if form is None:
            form = self._forms[self._nearest(value)]
        return form(self, value)

    def put(self, data: Any) -> int:
        """Adds bytes to the payload and returns where they begin."""
        padding = -self.size % ALIGNMENT
        if padding:
            self.buffers.append(_PADDING[:padding])
        offset = self.size + padding
        self.buffers.append(data)
        self.size = offset + len(data)
        return offset

    def put_array(self, array: np.ndarray) -> tuple[str, tuple[int, ...], int]:
        """Adds an array of numbers to the payload; returns its dtype, its shape, and where it
        begins.
        """
        array = np.asarray(array)  # a subclass may have ideas of its own
        dtype = array.dtype
        code: str = dtype.str if dtype.kind in _RAW_KINDS else dtype.name
        if dtype.kind not in _RAW_KINDS and code != _BFLOAT16:
            raise Unsendable(f"expected an array of a V2 datatype, got dtype {code}")
        if array.nbytes < _SMALL:
            return code, array.shape, self.put(array.tobytes())
        flat: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return code, array.shape, self.put(memoryview(flat))

    def pack_headers(self, headers: Mapping[str, Any] | None) -> Any:
        """Headers that may stand in the tree more than once, and are sent once."""
        if not headers:
            return headers if headers is None else {}
        key = (*headers, *headers.values())
        if set(map(type, key)) != {str}:
            try:
                return self.pack(headers)
            except Unsendable as error:
                raise error.under(".headers") from None
        index = self._known.setdefault(key, len(self._known))
        if index == len(self.shared_headers):
            self.shared_headers.append(dict(headers))
        return index

    def _nearest(self, value: Any) -> type:
        """The class whose form is used: the first one known that it is a kind of."""
        for base in type(value).__mro__:
            if base in self._forms:
                return base
        if isinstance(value, Mapping):
            return dict
        raise Unsendable(
            "expected null, a boolean, a number, text, bytes, an array, or a list or dict of "
            f"these, got {type(value).__name__}"
        )


class Unpacker:
    """Unpacks one tree.

    Args:
        forms: by name.
        payload: the raw bytes; arrays become views of it.
        headers: what ``Packer.shared_headers`` was.
    """

    __slots__ = ("_forms", "_headers", "_payload")

    def __init__(
        self, forms: Mapping[str, UnpackForm], payload: Any, headers: list[dict[str, str]]
    ) -> None:
        self._forms = forms
        self._payload = payload
        self._headers = headers

    def unpack(self, node: Any) -> Any:
        """The value of a node."""
        kind = type(node)
        if kind is dict:
            if FORM in node:
                return self._forms[node[FORM]](self, node["v"])
            return {
                name: each if type(each) in _PLAIN else self.unpack(each)
                for name, each in node.items()
            }
        if kind is list:
            return [each if type(each) in _PLAIN else self.unpack(each) for each in node]
        return node

    def take(self, offset: int, size: int) -> bytes:
        """A copy of some bytes of the payload."""
        data = bytes(self._payload[offset : offset + size])
        if len(data) != size:
            raise ValueError(f"the payload ends before byte {offset + size}")
        return data

    def take_array(self, code: str, shape: list[int], offset: int) -> np.ndarray:
        """An array that is a writable view of the payload."""
        dtype = _to_dtype(code)
        if 0 in shape or not dtype.itemsize:
            return np.zeros(shape, dtype)
        array: np.ndarray = np.ndarray(shape, dtype, self._payload, offset)
        return array

    def unpack_headers(self, node: Any) -> Any:
        """Headers, as a dict of their own."""
        return dict(self._headers[node]) if type(node) is int else self.unpack(node)


@functools.lru_cache(maxsize=256)
def _to_dtype(code: str) -> np.dtype:
    if code == _BFLOAT16:
        try:
            return to_dtype(Datatype.BF16)
        except InvalidRequest:  # only the other process has ml_dtypes; raw bytes can be passed on
            return np.dtype("V2")
    dtype = np.dtype(code)
    if dtype.kind not in _RAW_KINDS:
        raise ValueError(f"no array is sent as {code}")
    return dtype
