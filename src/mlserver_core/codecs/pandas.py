"""Content type ``pd``: a DataFrame, one column per tensor. Needs the extra ``pandas``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlserver_core.codecs.interfaces import RequestCodec
from mlserver_core.codecs.numpy import NumpyCodec
from mlserver_core.codecs.strings import StringCodec
from mlserver_core.errors import CodecError
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    ResponseOutput,
)


class PandasCodec(RequestCodec):
    """A request or response as a ``pandas.DataFrame``; each tensor is a column of ``[N, 1]``.

    pandas is imported by the first call, so that a server without it can list the codec.
    """

    ContentType = "pd"

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        """Is it a DataFrame? Asks without importing pandas."""
        return any(
            kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"
            for kind in type(payload).__mro__
        )

    @classmethod
    def encode_outputs(cls, payload: Any) -> list[ResponseOutput]:
        """One output per column; raises CodecError for a column with no datatype."""
        return [NumpyCodec.encode_output(name, column) for name, column in _columns(payload)]

    @classmethod
    def encode_response(
        cls, model_name: str, payload: Any, model_version: str | None = None, **kwargs: Any
    ) -> InferenceResponse:
        """A response with one output per column."""
        return InferenceResponse(
            model_name=model_name,
            model_version=model_version,
            parameters=Parameters(content_type=cls.ContentType),
            outputs=cls.encode_outputs(payload),
        )

    @classmethod
    def decode_response(cls, response: InferenceResponse) -> Any:
        """The DataFrame of a response."""
        return _to_frame(response.outputs)

    @classmethod
    def encode_request(cls, payload: Any, **kwargs: Any) -> InferenceRequest:
        """A request with one input per column."""
        columns = [NumpyCodec.encode_input(name, column) for name, column in _columns(payload)]
        return InferenceRequest(parameters=Parameters(content_type=cls.ContentType), inputs=columns)

    @classmethod
    def decode_request(cls, request: InferenceRequest) -> Any:
        """The DataFrame of a request.

        Raises:
            CodecError: pandas is missing, or a tensor is no column.
        """
        return _to_frame(request.inputs)


def _columns(frame: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of each column; text that is missing becomes None."""
    names = [str(name) for name in frame.columns]
    _check_names(names)
    for position, name in enumerate(names):
        column = frame.iloc[:, position]
        values = column.to_numpy()
        if values.dtype == object:
            values = np.where(column.isna(), None, values)
        yield name, values


def _check_names(names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise CodecError(f"{count} columns are called {name!r}")


def _to_frame(tensors: list[RequestInput] | list[ResponseOutput]) -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise CodecError(
            "content type 'pd' needs pandas on the server: pip install 'mlserver-core[pandas]'"
        ) from None
    _check_names([tensor.name for tensor in tensors])
    columns = {tensor.name: _to_column(tensor) for tensor in tensors}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise CodecError(f"the columns have different lengths: {lengths}")
    return pd.DataFrame(columns)


def _to_column(tensor: RequestInput | ResponseOutput) -> Any:
    if math.prod(tensor.shape[1:]) != 1:
        raise CodecError(
            f"tensor {tensor.name!r}: a column has shape [N] or [N, 1], got {tensor.shape}"
        )
    if tensor.datatype is Datatype.BYTES:
        return StringCodec.decode_input(tensor)  # type: ignore[arg-type]  # the fields are equal
    array = (
        NumpyCodec.decode_input(tensor)
        if isinstance(tensor, RequestInput)
        else NumpyCodec.decode_output(tensor)
    )
    return np.reshape(array, -1)
