"""Content type ``np``: numpy arrays."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from mlserver_core.codecs.interfaces import InputCodec, SingleInputRequestCodec
from mlserver_core.errors import CodecError, InvalidRequest
from mlserver_core.types import (
    Datatype,
    Parameters,
    RequestInput,
    ResponseOutput,
    TensorData,
)
from mlserver_core.types.datatypes import to_datatype
from mlserver_core.types.tensors import to_elements


class NumpyCodec(InputCodec):
    """One tensor as one ``numpy.ndarray`` of the same shape.

    Text of BYTES tensors is decoded to a ``str`` array; bytes, and text with nulls, to an
    ``object`` array, so that nothing is padded or cut.
    """

    ContentType = "np"
    TypeHint = np.ndarray

    @classmethod
    def encode_output(cls, name: str, payload: Any, **kwargs: Any) -> ResponseOutput:
        """The array as a tensor; ``[N]`` becomes ``[N, 1]``, and a scalar ``[1]``."""
        array = np.asarray(payload)
        try:
            datatype = to_datatype(array.dtype)
        except InvalidRequest as error:
            raise CodecError(f"output {name!r}: {error}") from None
        shape = [*array.shape, 1] if array.ndim == 1 else list(array.shape) or [1]
        if not array.ndim:
            array = array.reshape(1)
        return ResponseOutput(
            name=name,
            datatype=datatype,
            shape=shape,
            data=TensorData(_strings(name, array) if datatype is Datatype.BYTES else array),
            parameters=Parameters(content_type=cls.ContentType),
        )

    @classmethod
    def decode_output(cls, response_output: ResponseOutput) -> np.ndarray:
        """The array of an output tensor."""
        return _to_array(response_output)

    @classmethod
    def decode_input(cls, request_input: RequestInput) -> np.ndarray:
        """The array of an input tensor; writable, and the caller's to keep.

        Raises:
            InvalidRequest: the elements do not fit datatype or shape.
        """
        return _to_array(request_input)


class NumpyRequestCodec(SingleInputRequestCodec):
    """A request with one tensor as one ``numpy.ndarray``."""

    ContentType = "np"
    TypeHint = np.ndarray
    InputCodec: ClassVar[type[InputCodec]] = NumpyCodec


def _to_array(tensor: RequestInput | ResponseOutput) -> np.ndarray:
    elements = to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
    if tensor.datatype is Datatype.BYTES:
        elements = _to_texts(elements)
        if elements.size != math.prod(tensor.shape):  # one text, or shape[0] of them, may stand
            return elements
    elif not elements.flags.writeable:
        elements = elements.copy()
    try:
        array: np.ndarray = elements.reshape(tensor.shape)
    except ValueError:  # too many dimensions, or too large beside a zero
        raise InvalidRequest(
            f"tensor {tensor.name!r}: no numpy array can have its shape of "
            f"{len(tensor.shape)} dimensions, {tensor.shape[:8]}"
        ) from None
    return array


def _to_texts(elements: list[Any]) -> np.ndarray:
    if all(isinstance(element, str) for element in elements) and _fits_str_array(elements):
        return np.array(elements, dtype=str)
    texts = np.empty(len(elements), dtype=object)
    texts[:] = elements
    return texts


def _fits_str_array(texts: list[str]) -> bool:
    """May these texts be a ``str`` array, which pads each to the longest and drops zeros at
    its end? One long text among many short ones would take memory out of all proportion.
    """
    longest = max(map(len, texts), default=0)
    padded = longest * len(texts)
    in_proportion = padded <= 16 * sum(map(len, texts)) + 2**20
    return in_proportion and not any(text.endswith("\0") for text in texts)


def _strings(name: str, array: np.ndarray) -> list[Any]:
    elements: list[Any] = array.reshape(-1).tolist()
    for element in elements:
        if not isinstance(element, (str, bytes, type(None))):
            raise CodecError(
                f"output {name!r}: an object array may hold str and bytes only, "
                f"got {type(element).__name__}; give the array a numeric dtype"
            )
    return elements
