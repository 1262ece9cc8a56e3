"""Content type ``json``: lists of JSON values, one per element; and MLServer's JSON functions."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
import orjson

from mlserver_core.codecs.elements import ElementCodec
from mlserver_core.codecs.string import decode_str
from mlserver_core.types import RequestInput, ResponseOutput


class JSONCodec(ElementCodec):
    """One BYTES tensor of JSON texts (RFC 8259) as a list of values: dicts, lists, scalars.

    numpy arrays and numbers are written as lists and numbers, NaN and infinities as ``null``.
    """

    ContentType = "json"
    TypeHint: ClassVar[Any] = list[dict[str, Any]]

    @classmethod
    def _write(cls, name: str, index: int, value: Any, *, use_bytes: bool) -> Any:
        if value is None:  # a JSON value like any other
            return b"null" if use_bytes else "null"
        return super()._write(name, index, value, use_bytes=use_bytes)

    @classmethod
    def write_element(cls, value: Any) -> str:
        """The JSON text of a value."""
        try:
            return encode_to_json_bytes(value).decode()
        except TypeError as error:
            raise ValueError(f"{type(value).__name__} has no JSON form: {error}") from None

    @classmethod
    def read_element(cls, text: str) -> Any:
        """The value of a JSON text."""
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"not valid JSON: {error}") from None


class PandasJSONCodec(JSONCodec):
    """The same under the name that columns of a DataFrame have it by, as in MLServer."""

    ContentType = "pd_json"
    TypeHint = None

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        """Only where it is asked for by name."""
        return False


def encode_to_json_bytes(v: Any) -> bytes:
    """JSON of plain data, as UTF-8; bytes in it are written as text, numpy's arrays as lists.

    Raises:
        TypeError: for what has no JSON form.
    """
    option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(v, default=_plain, option=option)


def decode_from_bytelike_json_to_dict(v: bytes | str) -> Any:
    """The value of a JSON text; raises ValueError."""
    return orjson.loads(v)


class JSONEncoderWithArray(json.JSONEncoder):
    """An encoder for the standard ``json`` module that knows numpy's arrays and numbers."""

    def default(self, o: Any) -> Any:
        """Arrays as lists, numbers as numbers."""
        if isinstance(o, (np.ndarray, np.generic)):
            return o.tolist()
        return super().default(o)


def encode_to_json(v: Any, use_bytes: bool = True) -> str | bytes:  # noqa: FBT001, FBT002  # MLServer's signature
    """Compact JSON of plain data and numpy's arrays.

    Raises:
        ValueError: NaN or an infinity, which JSON has not.
        TypeError: for what has no JSON form.
    """
    text = json.dumps(
        v, ensure_ascii=False, allow_nan=False, separators=(",", ":"), cls=JSONEncoderWithArray
    )
    return text.encode() if use_bytes else text


def decode_json_input_or_output(input_or_output: RequestInput | ResponseOutput) -> list[Any]:
    """The values of a BYTES tensor of JSON texts; raises CodecError."""
    return JSONCodec._read_all(input_or_output)  # noqa: SLF001  # of this module


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return decode_str(bytes(value))
    if isinstance(value, (np.ndarray, np.generic)):  # what orjson does not take by itself
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
