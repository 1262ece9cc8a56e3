"""MLServer's import path of what a codec is and how one is registered."""

from mlserver_core.codecs.interfaces import (
    InputCodec,
    InputCodecLike,
    RequestCodec,
    RequestCodecLike,
)
from mlserver_core.codecs.registration import register_input_codec, register_request_codec

__all__ = [
    "InputCodec",
    "InputCodecLike",
    "RequestCodec",
    "RequestCodecLike",
    "register_input_codec",
    "register_request_codec",
]
