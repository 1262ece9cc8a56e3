"""The elements of a tensor: an array that runtimes may also use like a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np


@attrs.define(eq=False)
class TensorData:
    """What ``RequestInput.data`` and ``ResponseOutput.data`` hold.

    Numbers are kept as one numpy array, BYTES as a list of ``str`` or ``bytes``. Runtimes
    written for MLServer index, iterate, compare and test ``data`` as a list, and get Python
    values; ``numpy.asarray(data)`` gives the array itself, without a copy.

    Attributes:
        root: the array or list. Its shape is the tensor's, or one flat dimension.
    """

    root: Any

    def __len__(self) -> int:
        return len(self.root)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.root, np.ndarray):
            return map(_to_python, self.root)
        return iter(self.root)

    def __getitem__(self, index: Any) -> Any:
        return _to_python(self.root[index])

    def __bool__(self) -> bool:
        return len(self.root) > 0

    def __eq__(self, other: object) -> bool:
        mine, theirs = self.root, other.root if isinstance(other, TensorData) else other
        if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
            return _equal_arrays(mine, theirs)
        return bool(mine == theirs)

    __hash__ = None  # type: ignore[assignment]  # mutable, as a list is

    @classmethod
    def from_plain(cls, value: Any) -> TensorData:
        """Wraps JSON data as it is; the engine checks it against shape and datatype."""
        return value if isinstance(value, cls) else cls(value)

    def to_plain(self) -> Any:
        """The array or list itself; arrays stay arrays."""
        return self.root

    def to_lists(self) -> Any:
        """The elements as nested Python lists, for a model_dump."""
        return to_lists(self.root)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001  # numpy's signature
        return np.array(self.root, dtype=dtype, copy=copy)


def to_lists(value: Any) -> Any:
    """A copy of plain data, with lists and numbers in place of numpy's."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, dict):
        return {name: to_lists(each) for name, each in value.items()}
    return list(map(to_lists, value)) if isinstance(value, (list, tuple)) else value


def _to_python(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value


def _equal_arrays(mine: Any, theirs: Any) -> bool:
    try:
        mine, theirs = np.asarray(mine), np.asarray(theirs)
    except ValueError:  # a ragged list is no array, so it equals none
        return False
    floats = all(each.dtype.kind == "f" or each.dtype.name == "bfloat16" for each in (mine, theirs))
    return bool(np.array_equal(mine, theirs, equal_nan=floats))
