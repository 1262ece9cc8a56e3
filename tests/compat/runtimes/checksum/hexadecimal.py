from typing import Any, List

from mlserver.codecs import InputCodec, register_input_codec
from mlserver.types import Parameters, RequestInput, ResponseOutput


@register_input_codec
class HexadecimalCodec(InputCodec):
    """Bytes that travel as pairs of hexadecimal digits."""

    ContentType = "hexadecimal"
    TypeHint = List[bytes]

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        return isinstance(payload, list) and all(isinstance(each, bytes) for each in payload)

    @classmethod
    def encode_output(cls, name: str, payload: List[bytes], **kwargs) -> ResponseOutput:
        return ResponseOutput(
            name=name,
            shape=[len(payload), 1],
            datatype="BYTES",
            data=[each.hex() for each in payload],
            parameters=Parameters(content_type=cls.ContentType),
        )

    @classmethod
    def decode_input(cls, request_input: RequestInput) -> List[bytes]:
        texts = [
            each.decode() if isinstance(each, bytes) else each for each in request_input.data
        ]
        return [bytes.fromhex(text) for text in texts]
