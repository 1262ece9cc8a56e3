"""Content type ``base64``: lists of bytes, sent as base64 text."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from mlserver_core.codecs.elements import ElementCodec


class Base64Codec(ElementCodec):
    """One BYTES tensor of base64 text (RFC 4648, section 4) as a list of ``bytes``."""

    ContentType = "base64"
    TypeHint = list[bytes]

    @classmethod
    def write_element(cls, value: Any) -> str:
        """Bytes as base64; text is written as its UTF-8."""
        if isinstance(value, str):
            value = value.encode()
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"expected bytes, got {type(value).__name__}")
        return base64.b64encode(value).decode()

    @classmethod
    def read_element(cls, text: str) -> bytes:
        """Base64 as bytes."""
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"not valid base64: {error}") from None
