"""Registers the built-in codecs."""

from __future__ import annotations

from mlserver_core.codecs.base64 import Base64Codec
from mlserver_core.codecs.datetime import DatetimeCodec
from mlserver_core.codecs.interfaces import InputCodec, RequestCodec
from mlserver_core.codecs.json import JSONCodec, PandasJSONCodec
from mlserver_core.codecs.lookup import Codecs
from mlserver_core.codecs.numpy import NumpyCodec, NumpyRequestCodec
from mlserver_core.codecs.pandas import PandasCodec
from mlserver_core.codecs.string import StringCodec, StringRequestCodec
from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry

_INPUT_CODECS: tuple[type[InputCodec], ...] = (
    NumpyCodec,
    StringCodec,
    Base64Codec,
    DatetimeCodec,
    JSONCodec,
    PandasJSONCodec,
)
_REQUEST_CODECS: tuple[type[RequestCodec], ...] = (
    NumpyRequestCodec,
    StringRequestCodec,
    PandasCodec,
)


@hookimpl
def mlserver_register_codecs(
    input_codecs: Registry[type[InputCodec]], request_codecs: Registry[type[RequestCodec]]
) -> None:
    """Arrays, text, bytes, times, JSON and DataFrames."""
    for codec in _INPUT_CODECS:
        input_codecs.add(codec.ContentType, codec)
    for request_codec in _REQUEST_CODECS:
        request_codecs.add(request_codec.ContentType, request_codec)


def built_in_codecs() -> Codecs:
    """The built-in codecs, for code that runs without a server."""
    made = Codecs()
    mlserver_register_codecs(made.inputs, made.requests)
    return made
