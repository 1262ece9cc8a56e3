"""Content types: how tensors become Python values and back."""

from mlserver_core.codecs.interfaces import InputCodec, RequestCodec, SingleInputRequestCodec
from mlserver_core.codecs.lookup import Codecs
from mlserver_core.codecs.numpy import NumpyCodec, NumpyRequestCodec
from mlserver_core.codecs.pandas import PandasCodec
from mlserver_core.codecs.strings import StringCodec, StringRequestCodec

__all__ = [
    "Codecs",
    "InputCodec",
    "NumpyCodec",
    "NumpyRequestCodec",
    "PandasCodec",
    "RequestCodec",
    "SingleInputRequestCodec",
    "StringCodec",
    "StringRequestCodec",
]
