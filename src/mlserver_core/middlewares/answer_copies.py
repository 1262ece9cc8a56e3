"""Copies of answers that share nothing which somebody could change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from mlserver_core.types import InferenceResponse, Parameters, ResponseOutput, TensorData

#: What nobody can change.
_SCALARS = (str, bytes, int, float, type(None), np.generic)
#: Bytes of the objects that an answer, an output and an array are, besides what is in them.
_ANSWER, _OUTPUT, _ARRAY = 256, 256, 128

_CopyArray = Callable[[np.ndarray], np.ndarray]


class _NotCopied(TypeError):
    """Something of a type that no transport could send."""


@attrs.frozen
class KeptAnswer:
    """An answer that nobody else has.

    Attributes:
        size: bytes of memory that it takes.
    """

    _answer: InferenceResponse
    size: int

    @classmethod
    def of(cls, answer: InferenceResponse, largest: int) -> KeptAnswer | None:
        """A copy of an answer: whoever made it may go on using its memory.

        Args:
            answer: as the model gave it.
            largest: bytes that the copy may take.

        Returns:
            None for an answer that is larger, that is nested too deeply to be looked through, or
            that holds something of a type which no transport could send.
        """
        try:
            size = _size_of(answer)
            return cls(_copy_answer(answer, _freeze), size) if size <= largest else None
        except (_NotCopied, RecursionError):
            return None

    def hand_out(self, id: str | None) -> InferenceResponse:
        """A copy with that id: all its own but for the memory of arrays, which nobody can write
        to.
        """
        answer = _copy_answer(self._answer, _view)
        answer.id = id
        return answer


def _copy_answer(answer: InferenceResponse, copy_array: _CopyArray) -> InferenceResponse:
    return InferenceResponse(
        model_name=answer.model_name,
        model_version=answer.model_version,
        parameters=_copy_parameters(answer.parameters, copy_array),
        outputs=[
            ResponseOutput(
                name=output.name,
                shape=list(output.shape),
                datatype=output.datatype,
                parameters=_copy_parameters(output.parameters, copy_array),
                data=TensorData(_copy(output.data.root, copy_array)),
            )
            for output in answer.outputs
        ],
    )


def _copy_parameters(parameters: Parameters | None, copy_array: _CopyArray) -> Parameters | None:
    if parameters is None:
        return None
    copied = Parameters(
        content_type=parameters.content_type, headers=_copy(parameters.headers, copy_array)
    )
    copied.model_extra = _copy(parameters.model_extra, copy_array)
    return copied


def _copy(value: Any, copy_array: _CopyArray) -> Any:
    if isinstance(value, _SCALARS):
        return value
    if type(value) is np.ndarray:
        return copy_array(value)
    if isinstance(value, (list, tuple)):
        if set(map(type, value)) <= {str, bytes}:  # the elements of a BYTES tensor
            return list(value)
        return [_copy(item, copy_array) for item in value]
    if isinstance(value, dict):
        return {_copy(name, copy_array): _copy(item, copy_array) for name, item in value.items()}
    if isinstance(value, bytearray):
        return bytes(value)
    raise _NotCopied(type(value).__name__)


def _freeze(array: np.ndarray) -> np.ndarray:
    if array.dtype.hasobject:
        return _copy_objects(array)
    # An array over bytes cannot be made writable again, as one with memory of its own could.
    frozen: np.ndarray = np.ndarray(array.shape, array.dtype, buffer=array.tobytes())
    return frozen


def _view(array: np.ndarray) -> np.ndarray:
    view: np.ndarray = array.copy() if array.dtype.hasobject else array.view()
    return view


def _copy_objects(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "O" or not all(isinstance(each, _SCALARS) for each in array.flat):
        raise _NotCopied("an array of objects")
    copied: np.ndarray = array.copy()
    return copied


def _size_of(answer: InferenceResponse) -> int:
    parameters = [answer.parameters, *(output.parameters for output in answer.outputs)]
    inside = [(each.headers, each.model_extra) for each in parameters if each is not None]
    data = [output.data.root for output in answer.outputs]
    return _ANSWER + _OUTPUT * len(answer.outputs) + _size(inside) + _size(data)


def _size(value: Any) -> int:
    if isinstance(value, np.ndarray):
        items = value.flat if value.dtype.hasobject else ()
        return _ARRAY + value.nbytes + sum(map(_size, items))
    if isinstance(value, (list, tuple)):
        return sys.getsizeof(value) + sum(map(_size, value))
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(map(_size, value)) + sum(map(_size, value.values()))
    return sys.getsizeof(value)
