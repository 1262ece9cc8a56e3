"""What the codecs of BYTES tensors share: one Python value per element."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlserver_core.codecs.interfaces import InputCodec
from mlserver_core.errors import CodecError
from mlserver_core.types import (
    Datatype,
    Parameters,
    RequestInput,
    ResponseOutput,
    TensorData,
)
from mlserver_core.types.tensors import to_elements


class ElementCodec(InputCodec):
    """A BYTES tensor of shape ``[N, 1]`` as a list of N values; ``None`` stays ``None``.

    Subclasses say how one element is written and read; what they raise as TypeError or
    ValueError becomes
    a CodecError that names the tensor and the element.
    """

    @classmethod
    def write_element(cls, value: Any) -> str:
        """The text of one value; raises TypeError or ValueError that says what was expected."""
        raise NotImplementedError

    @classmethod
    def read_element(cls, text: str) -> Any:
        """The value of one text; raises TypeError or ValueError that says what was expected."""
        raise NotImplementedError

    @classmethod
    def encode_output(
        cls, name: str, payload: Any, *, use_bytes: bool = True, **kwargs: Any
    ) -> ResponseOutput:
        """The values as a tensor of shape ``[N, 1]``.

        Args:
            name: the tensor's name.
            payload: a list of values.
            use_bytes: hold the elements as UTF-8 bytes rather than ``str``.
            kwargs: taken and ignored, as other codecs have options of their own.

        Raises:
            CodecError: ``payload`` is no list, or an element cannot be encoded.
        """
        if isinstance(payload, (str, bytes, dict)) or not isinstance(payload, Iterable):
            raise CodecError(
                f"output {name!r}: content type {cls.ContentType!r} encodes a list, got "
                f"{type(payload).__name__}"
            )
        elements = [
            cls._write(name, index, value, use_bytes=use_bytes)
            for index, value in enumerate(payload)
        ]
        return ResponseOutput(
            name=name,
            datatype=Datatype.BYTES,
            shape=[len(elements), 1],
            data=TensorData(elements),
            parameters=Parameters(content_type=cls.ContentType),
        )

    @classmethod
    def decode_output(cls, response_output: ResponseOutput) -> list[Any]:
        """The values of an output tensor."""
        return cls._read_all(response_output)

    @classmethod
    def decode_input(cls, request_input: RequestInput) -> list[Any]:
        """The values of an input tensor.

        Raises:
            CodecError: another datatype than BYTES, or an element that cannot be decoded.
        """
        return cls._read_all(request_input)

    @classmethod
    def _write(cls, name: str, index: int, value: Any, *, use_bytes: bool) -> Any:
        if value is None:
            return None
        try:
            text = cls.write_element(value)
            encoded = text.encode()  # also where the text stays: what has no UTF-8 cannot be sent
        except (TypeError, ValueError) as error:
            raise CodecError(f"output {name!r}, element {index}: {error}") from None
        return encoded if use_bytes else text

    @classmethod
    def _read_all(cls, tensor: RequestInput | ResponseOutput) -> list[Any]:
        if tensor.datatype is not Datatype.BYTES:
            raise CodecError(
                f"tensor {tensor.name!r}: content type {cls.ContentType!r} needs datatype BYTES, "
                f"got {tensor.datatype}"
            )
        elements = to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
        return [cls._read(tensor.name, index, each) for index, each in enumerate(elements)]

    @classmethod
    def _read(cls, name: str, index: int, element: Any) -> Any:
        if element is None:
            return None
        try:
            return cls.read_element(element.decode() if isinstance(element, bytes) else element)
        except UnicodeDecodeError:
            raise CodecError(f"tensor {name!r}, element {index}: not UTF-8 text") from None
        except ValueError as error:
            raise CodecError(f"tensor {name!r}, element {index}: {error}") from None
