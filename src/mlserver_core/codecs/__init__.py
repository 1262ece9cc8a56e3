"""Content types: how tensors become Python values and back."""

from mlserver_core.codecs.base64 import Base64Codec
from mlserver_core.codecs.content_types import (
    decode_inference_request,
    decode_request_input,
    encode_inference_response,
    encode_response_output,
)
from mlserver_core.codecs.datetime import DatetimeCodec
from mlserver_core.codecs.decoded import (
    DecodedParameterName,
    get_decoded,
    get_decoded_or_raw,
    has_decoded,
)
from mlserver_core.codecs.decorator import decode_args
from mlserver_core.codecs.interfaces import (
    InputCodec,
    InputCodecLike,
    RequestCodec,
    RequestCodecLike,
    SingleInputRequestCodec,
)
from mlserver_core.codecs.json import JSONCodec
from mlserver_core.codecs.lookup import Codecs
from mlserver_core.codecs.numpy import NumpyCodec, NumpyRequestCodec
from mlserver_core.codecs.pandas import PandasCodec
from mlserver_core.codecs.registration import register_input_codec, register_request_codec
from mlserver_core.codecs.string import StringCodec, StringRequestCodec
from mlserver_core.errors import CodecError

__all__ = [
    "Base64Codec",
    "CodecError",
    "Codecs",
    "DatetimeCodec",
    "DecodedParameterName",
    "InputCodec",
    "InputCodecLike",
    "JSONCodec",
    "NumpyCodec",
    "NumpyRequestCodec",
    "PandasCodec",
    "RequestCodec",
    "RequestCodecLike",
    "SingleInputRequestCodec",
    "StringCodec",
    "StringRequestCodec",
    "decode_args",
    "decode_inference_request",
    "decode_request_input",
    "encode_inference_response",
    "encode_response_output",
    "get_decoded",
    "get_decoded_or_raw",
    "has_decoded",
    "register_input_codec",
    "register_request_codec",
]
