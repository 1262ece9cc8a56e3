"""What a codec is: a content type, and how to turn tensors into Python values and back."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, TypeAlias, Union

from mlserver_core.codecs.decoded import get_decoded, has_decoded
from mlserver_core.codecs.hints import holds
from mlserver_core.errors import CodecError
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    ResponseOutput,
)


class InputCodec:
    """Codec of a single tensor. Subclasses override what they offer; all are classmethods.

    Attributes:
        ContentType: the name that ``parameters.content_type`` uses.
        TypeHint: the Python type it decodes to.
    """

    ContentType: ClassVar[str] = ""
    TypeHint: ClassVar[Any] = None

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        """Can this codec encode ``payload``? By default: is it a ``TypeHint``?"""
        return holds(payload, cls.TypeHint)

    @classmethod
    def encode_output(cls, name: str, payload: Any, **kwargs: Any) -> ResponseOutput:
        """An output tensor called ``name``; raises CodecError for what it cannot encode."""
        raise CodecError(f"codec {cls.ContentType!r} does not encode outputs")

    @classmethod
    def decode_output(cls, response_output: ResponseOutput) -> Any:
        """The Python value of an output tensor; raises CodecError."""
        raise CodecError(f"codec {cls.ContentType!r} does not decode outputs")

    @classmethod
    def encode_input(cls, name: str, payload: Any, **kwargs: Any) -> RequestInput:
        """An input tensor called ``name``; raises CodecError for what it cannot encode."""
        output = cls.encode_output(name, payload, **kwargs)
        return RequestInput(
            name=output.name,
            datatype=output.datatype,
            shape=output.shape,
            data=output.data,
            parameters=output.parameters,
        )

    @classmethod
    def decode_input(cls, request_input: RequestInput) -> Any:
        """The Python value of an input tensor; raises CodecError."""
        raise CodecError(f"codec {cls.ContentType!r} does not decode inputs")

    @classmethod
    def encode(cls, name: str, payload: Any) -> ResponseOutput:
        """MLServer's older name of ``encode_output``."""
        _deprecated("encode", "encode_output")
        return cls.encode_output(name, payload)

    @classmethod
    def decode(cls, request_input: RequestInput) -> Any:
        """MLServer's older name of ``decode_input``."""
        _deprecated("decode", "decode_input")
        return cls.decode_input(request_input)


class RequestCodec:
    """Codec of a whole request or response. Attributes are those of ``InputCodec``."""

    ContentType: ClassVar[str] = ""
    TypeHint: ClassVar[Any] = None

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        """Can this codec encode ``payload``? By default: is it a ``TypeHint``?"""
        return holds(payload, cls.TypeHint)

    @classmethod
    def encode_response(
        cls, model_name: str, payload: Any, model_version: str | None = None, **kwargs: Any
    ) -> InferenceResponse:
        """A response that holds ``payload``; raises CodecError for what it cannot encode."""
        raise CodecError(f"codec {cls.ContentType!r} does not encode responses")

    @classmethod
    def decode_response(cls, response: InferenceResponse) -> Any:
        """The Python value of a response; raises CodecError."""
        raise CodecError(f"codec {cls.ContentType!r} does not decode responses")

    @classmethod
    def encode_request(cls, payload: Any, **kwargs: Any) -> InferenceRequest:
        """A request that holds ``payload``; raises CodecError for what it cannot encode."""
        raise CodecError(f"codec {cls.ContentType!r} does not encode requests")

    @classmethod
    def decode_request(cls, request: InferenceRequest) -> Any:
        """The Python value of a request; raises CodecError."""
        raise CodecError(f"codec {cls.ContentType!r} does not decode requests")

    @classmethod
    def encode(
        cls, model_name: str, payload: Any, model_version: str | None = None
    ) -> InferenceResponse:
        """MLServer's older name of ``encode_response``."""
        _deprecated("encode", "encode_response")
        return cls.encode_response(model_name, payload, model_version)

    @classmethod
    def decode(cls, request: InferenceRequest) -> Any:
        """MLServer's older name of ``decode_request``."""
        _deprecated("decode", "decode_request")
        return cls.decode_request(request)


#: A codec is a class with classmethods, or an instance with the same methods.
InputCodecLike: TypeAlias = Union[type[InputCodec], InputCodec]  # noqa: UP007
RequestCodecLike: TypeAlias = Union[type[RequestCodec], RequestCodec]  # noqa: UP007


class SingleInputRequestCodec(RequestCodec):
    """A request codec for exactly one tensor, which an input codec handles.

    Attributes:
        InputCodec: that input codec.
    """

    InputCodec: ClassVar[type[InputCodec]]

    @classmethod
    def can_encode(cls, payload: Any) -> bool:
        """Can the input codec encode ``payload``?"""
        return cls.InputCodec.can_encode(payload)

    @classmethod
    def encode_response(
        cls, model_name: str, payload: Any, model_version: str | None = None, **kwargs: Any
    ) -> InferenceResponse:
        """A response with the one output ``output-1``."""
        output = cls.InputCodec.encode_output("output-1", payload, **kwargs)
        return InferenceResponse(
            model_name=model_name,
            model_version=model_version,
            parameters=Parameters(content_type=cls.ContentType),
            outputs=[output],
        )

    @classmethod
    def decode_response(cls, response: InferenceResponse) -> Any:
        """The value of the one output; raises CodecError when there are more or none."""
        cls._check_single(len(response.outputs), "output")
        return cls.InputCodec.decode_output(response.outputs[0])

    @classmethod
    def encode_request(cls, payload: Any, **kwargs: Any) -> InferenceRequest:
        """A request with the one input ``input-1``."""
        tensor = cls.InputCodec.encode_input("input-1", payload, **kwargs)
        return InferenceRequest(
            inputs=[tensor], parameters=Parameters(content_type=cls.ContentType)
        )

    @classmethod
    def decode_request(cls, request: InferenceRequest) -> Any:
        """The value of the one input, as its own content type had it where that was decoded
        before; raises CodecError when there are more or none.
        """
        cls._check_single(len(request.inputs), "input")
        tensor = request.inputs[0]
        return get_decoded(tensor) if has_decoded(tensor) else cls.InputCodec.decode_input(tensor)

    @classmethod
    def _check_single(cls, count: int, kind: str) -> None:
        if count != 1:
            raise CodecError(
                f"content type {cls.ContentType!r} only supports a single {kind} tensor, "
                f"got {count}"
            )


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"{old}() of a codec is now {new}()", DeprecationWarning, stacklevel=3)
