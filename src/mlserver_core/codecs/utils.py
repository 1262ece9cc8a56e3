"""MLServer's import path of the functions around codecs."""

from mlserver_core.codecs.content_types import (
    decode_inference_request,
    decode_request_input,
    encode_inference_response,
    encode_response_output,
)
from mlserver_core.codecs.decoded import (
    DecodedParameterName,
    Parametrised,
    get_decoded,
    get_decoded_or_raw,
    has_decoded,
)
from mlserver_core.codecs.interfaces import SingleInputRequestCodec
from mlserver_core.types import RequestInput, ResponseOutput

InputOrOutput = RequestInput | ResponseOutput

__all__ = [
    "DecodedParameterName",
    "InputOrOutput",
    "Parametrised",
    "SingleInputRequestCodec",
    "decode_inference_request",
    "decode_request_input",
    "encode_inference_response",
    "encode_response_output",
    "get_decoded",
    "get_decoded_or_raw",
    "has_decoded",
    "inject_batch_dimension",
]


def inject_batch_dimension(shape: list[int]) -> list[int]:
    """``[N]`` as ``[N, 1]``; other shapes as they are."""
    return shape if len(shape) > 1 else [*shape, 1]
