"""Registers the built-in codecs."""

from __future__ import annotations

from mlserver_core.codecs.interfaces import InputCodec, RequestCodec
from mlserver_core.codecs.numpy import NumpyCodec, NumpyRequestCodec
from mlserver_core.codecs.pandas import PandasCodec
from mlserver_core.codecs.strings import StringCodec, StringRequestCodec
from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry


@hookimpl
def mlserver_register_codecs(
    input_codecs: Registry[type[InputCodec]], request_codecs: Registry[type[RequestCodec]]
) -> None:
    """Arrays, text and DataFrames."""
    for codec in (NumpyCodec, StringCodec):
        input_codecs.add(codec.ContentType, codec)
    for request_codec in (NumpyRequestCodec, StringRequestCodec, PandasCodec):
        request_codecs.add(request_codec.ContentType, request_codec)
