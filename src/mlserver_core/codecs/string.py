"""Content type ``str``: lists of text."""

from __future__ import annotations

from typing import Any, ClassVar

from mlserver_core.codecs.elements import ElementCodec
from mlserver_core.codecs.interfaces import InputCodec, SingleInputRequestCodec


class StringCodec(ElementCodec):
    """One BYTES tensor as a list of ``str`` (UTF-8); ``None`` stays ``None``."""

    ContentType = "str"
    TypeHint = list[str]

    @classmethod
    def write_element(cls, value: Any) -> str:
        """The text itself; bytes are read as UTF-8."""
        return decode_str(value)

    @classmethod
    def read_element(cls, text: str) -> str:
        """The text itself."""
        return text


class StringRequestCodec(SingleInputRequestCodec):
    """A request with one BYTES tensor as a list of ``str``."""

    ContentType = "str"
    TypeHint = list[str]
    InputCodec: ClassVar[type[InputCodec]] = StringCodec


def encode_str(elem: str) -> bytes:
    """The text as UTF-8."""
    return elem.encode()


def decode_str(encoded: bytes | str, str_codec: str = "utf-8") -> str:
    """Bytes as text; text is left as it is.

    Raises:
        ValueError: bytes that are no text in that encoding.
        TypeError: neither bytes nor text.
    """
    if isinstance(encoded, (bytes, bytearray)):
        return encoded.decode(str_codec)
    if isinstance(encoded, str):
        return encoded
    raise TypeError(f"expected text, got {type(encoded).__name__}")
