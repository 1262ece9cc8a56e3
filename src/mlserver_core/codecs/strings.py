"""Content type ``str``: lists of text."""

from __future__ import annotations

from typing import Any, ClassVar

from mlserver_core.codecs.interfaces import InputCodec, SingleInputRequestCodec
from mlserver_core.errors import CodecError
from mlserver_core.types import (
    Datatype,
    Parameters,
    RequestInput,
    ResponseOutput,
    TensorData,
)
from mlserver_core.types.tensors import to_elements


class StringCodec(InputCodec):
    """One BYTES tensor as a list of ``str`` (UTF-8); ``None`` stays ``None``."""

    ContentType = "str"
    TypeHint = list[str]

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        """A list of nothing but ``str``."""
        return isinstance(payload, list) and all(isinstance(each, str) for each in payload)

    @classmethod
    def encode_output(
        cls, name: str, payload: Any, *, use_bytes: bool = True, **kwargs: Any
    ) -> ResponseOutput:
        """The texts as a tensor of shape ``[N, 1]``.

        Args:
            name: the tensor's name.
            payload: a list of ``str``.
            use_bytes: hold the elements as UTF-8 bytes rather than ``str``.
            kwargs: taken and ignored, as other codecs have options of their own.

        Raises:
            CodecError: an element is no text, or has no UTF-8.
        """
        texts = [_encode(name, text, use_bytes=use_bytes) for text in payload]
        return ResponseOutput(
            name=name,
            datatype=Datatype.BYTES,
            shape=[len(texts), 1],
            data=TensorData(texts),
            parameters=Parameters(content_type=cls.ContentType),
        )

    @classmethod
    def decode_output(cls, response_output: ResponseOutput) -> list[str | None]:
        """The texts of an output tensor."""
        return _decode(response_output)

    @classmethod
    def decode_input(cls, request_input: RequestInput) -> list[str | None]:
        """The texts of an input tensor.

        Raises:
            CodecError: another datatype than BYTES, or bytes that are no UTF-8.
        """
        return _decode(request_input)


class StringRequestCodec(SingleInputRequestCodec):
    """A request with one BYTES tensor as a list of ``str``."""

    ContentType = "str"
    TypeHint = list[str]
    InputCodec: ClassVar[type[InputCodec]] = StringCodec


def _encode(name: str, text: Any, *, use_bytes: bool) -> Any:
    if not isinstance(text, (str, bytes, type(None))):
        raise CodecError(
            f"output {name!r}: content type 'str' encodes text, got {type(text).__name__}"
        )
    try:
        return text.encode() if use_bytes and isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise CodecError(f"output {name!r}: {error}") from None


def _decode(tensor: RequestInput | ResponseOutput) -> list[str | None]:
    if tensor.datatype is not Datatype.BYTES:
        raise CodecError(
            f"tensor {tensor.name!r}: content type 'str' needs datatype BYTES, "
            f"got {tensor.datatype}"
        )
    elements = to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
    return [_text(tensor.name, each) for each in elements]


def _text(name: str, element: Any) -> str | None:
    if not isinstance(element, bytes):
        return element  # type: ignore[no-any-return]  # str or None, as admission has checked
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise CodecError(f"tensor {name!r}: an element is not UTF-8 text") from None
