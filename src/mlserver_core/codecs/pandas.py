"""Content type ``pd``: a DataFrame, one column per tensor. Needs the extra ``pandas``."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, ClassVar

from mlserver_core.codecs.interfaces import RequestCodec
from mlserver_core.codecs.pandas_columns import read_column, write_column
from mlserver_core.errors import CodecError
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    ResponseOutput,
)


class _DataFrameHint:
    """``pandas.DataFrame`` once somebody has imported pandas, who alone can hint at it."""

    def __get__(self, instance: object, owner: type) -> Any:
        return getattr(sys.modules.get("pandas"), "DataFrame", None)


class PandasCodec(RequestCodec):
    """A request or response as a ``pandas.DataFrame``; each tensor is a column of ``[N, 1]``.

    The index is not sent, and column names are sent as text. What a V2 datatype cannot say of a
    column is in parameters of its tensor: ``docs/codecs/pd.md`` lists them.

    pandas is imported by the first call, so that a server without it can list the codec.
    """

    ContentType = "pd"
    TypeHint: ClassVar[Any] = _DataFrameHint()

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        """Is it a DataFrame? Asks without importing pandas."""
        return any(
            kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"
            for kind in type(payload).__mro__
        )

    @classmethod
    def encode_outputs(cls, payload: Any, *, use_bytes: bool = True) -> list[ResponseOutput]:
        """One output per column.

        Args:
            payload: the DataFrame.
            use_bytes: hold text as UTF-8 bytes rather than ``str``.

        Raises:
            CodecError: a column that cannot be sent as it is; names it.
        """
        names = [str(name) for name in payload.columns]
        _check_names(names)
        return [
            write_column(name, payload.iloc[:, position], use_bytes=use_bytes)
            for position, name in enumerate(names)
        ]

    @classmethod
    def encode_response(
        cls,
        model_name: str,
        payload: Any,
        model_version: str | None = None,
        *,
        use_bytes: bool = True,
        **kwargs: Any,
    ) -> InferenceResponse:
        """A response with one output per column; arguments and errors as ``encode_outputs``."""
        return InferenceResponse(
            model_name=model_name,
            model_version=model_version,
            parameters=Parameters(content_type=cls.ContentType),
            outputs=cls.encode_outputs(payload, use_bytes=use_bytes),
        )

    @classmethod
    def decode_response(cls, response: InferenceResponse) -> Any:
        """The DataFrame of a response; raises as ``decode_request``."""
        return _to_frame(response.outputs)

    @classmethod
    def encode_request(
        cls, payload: Any, *, use_bytes: bool = True, **kwargs: Any
    ) -> InferenceRequest:
        """A request with one input per column; arguments and errors as ``encode_outputs``."""
        columns = [
            RequestInput(
                name=output.name,
                datatype=output.datatype,
                shape=output.shape,
                data=output.data,
                parameters=output.parameters,
            )
            for output in cls.encode_outputs(payload, use_bytes=use_bytes)
        ]
        return InferenceRequest(parameters=Parameters(content_type=cls.ContentType), inputs=columns)

    @classmethod
    def decode_request(cls, request: InferenceRequest) -> Any:
        """The DataFrame of a request; inputs that were decoded before are taken as they are.

        Raises:
            CodecError: pandas is missing, or a tensor is no column.
        """
        return _to_frame(request.inputs)


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
    columns = {tensor.name: read_column(tensor) for tensor in tensors}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise CodecError(f"the columns have different lengths: {lengths}")
    return pd.DataFrame(columns)
