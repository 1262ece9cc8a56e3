"""Requests and responses by their content types: MLServer's functions around codecs.

Each takes the ``codecs`` to look in; without them the built-in ones are meant. ``MLModel`` has
the same as methods, with the codecs of its server and its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlserver_core.codecs.decoded import save_decoded
from mlserver_core.codecs.errors import CodecNotFound
from mlserver_core.codecs.interfaces import InputCodec, RequestCodec
from mlserver_core.codecs.lookup import Codecs
from mlserver_core.codecs.plugin import built_in_codecs
from mlserver_core.settings import ModelSettings
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    RequestInput,
    RequestOutput,
    ResponseOutput,
)


def content_type_of(*tagged: Any) -> str | None:
    """The content type that the first of these names in its ``parameters``."""
    for each in tagged:
        if each is not None and each.parameters is not None and each.parameters.content_type:
            content_type: str = each.parameters.content_type
            return content_type
    return None


def named_input_codec(
    codecs: Codecs, tensor: RequestInput | RequestOutput, declared: MetadataTensor | None
) -> type[InputCodec] | None:
    """The codec that a tensor names, else the one its metadata names, else None.

    Raises:
        InvalidRequest: an unknown content type; lists the known ones.
    """
    content_type = content_type_of(tensor, declared)
    if content_type is None:
        return None
    kind = "input" if isinstance(tensor, RequestInput) else "output"
    return codecs.input_codec(content_type, f"{kind} {tensor.name!r}")


def named_request_codec(
    codecs: Codecs, request: InferenceRequest, settings: ModelSettings | None
) -> type[RequestCodec] | None:
    """The codec that a request names, else the one its model's settings name, else None.

    Raises:
        InvalidRequest: an unknown content type; lists the known ones.
    """
    content_type = content_type_of(request, settings)
    return None if content_type is None else codecs.request_codec(content_type, "the request")


def decode_request_input(
    request_input: RequestInput,
    metadata_inputs: Mapping[str, MetadataTensor] | None = None,
    *,
    codecs: Codecs | None = None,
) -> Any:
    """The Python value of an input tensor; None where nothing names a content type.

    ``get_decoded`` has it afterwards.

    Args:
        request_input: the tensor; its own content type comes first.
        metadata_inputs: the model's declared inputs by name, whose content type comes next.
        codecs: where to look; the built-in ones by default.

    Raises:
        InvalidRequest: an unknown content type; lists the known ones.
        CodecError: the tensor cannot be decoded.
    """
    declared = (metadata_inputs or {}).get(request_input.name)
    codec = named_input_codec(codecs or built_in_codecs(), request_input, declared)
    if codec is None:
        return None
    payload = codec.decode_input(request_input)
    save_decoded(request_input, payload)
    return payload


def decode_inference_request(
    inference_request: InferenceRequest,
    model_settings: ModelSettings | None = None,
    metadata_inputs: Mapping[str, MetadataTensor] | None = None,
    *,
    default_codec: type[RequestCodec] | None = None,
    codecs: Codecs | None = None,
) -> Any:
    """The Python value of a whole request; the request itself where nothing names a codec.

    Each input is decoded first, as ``decode_request_input`` does; the request's codec then
    works on those values.

    Args:
        inference_request: the request; its own content type comes first.
        model_settings: whose ``parameters.content_type`` comes next.
        metadata_inputs: the model's declared inputs by name.
        default_codec: comes last.
        codecs: where to look; the built-in ones by default.

    Raises:
        InvalidRequest: an unknown content type; lists the known ones.
        CodecError: the request cannot be decoded.
    """
    codecs = codecs or built_in_codecs()
    codec = named_request_codec(codecs, inference_request, model_settings) or default_codec
    for tensor in inference_request.inputs:
        decode_request_input(tensor, metadata_inputs, codecs=codecs)
    if codec is None:
        return inference_request
    payload = codec.decode_request(inference_request)
    save_decoded(inference_request, payload)
    return payload


def encode_response_output(
    payload: Any,
    request_output: RequestOutput,
    metadata_outputs: Mapping[str, MetadataTensor] | None = None,
    *,
    codecs: Codecs | None = None,
) -> ResponseOutput | None:
    """An output tensor named as ``request_output``; None where no codec can encode ``payload``.

    Args:
        payload: the value.
        request_output: its content type comes first.
        metadata_outputs: the model's declared outputs by name, whose content type comes next;
            else the first codec that can encode ``payload`` does.
        codecs: where to look; the built-in ones by default.

    Raises:
        InvalidRequest: an unknown content type; lists the known ones.
        CodecError: the named codec cannot encode ``payload``.
    """
    codecs = codecs or built_in_codecs()
    declared = (metadata_outputs or {}).get(request_output.name)
    codec = named_input_codec(codecs, request_output, declared)
    if codec is None:
        try:
            codec = codecs.input_codec_for(payload)
        except CodecNotFound:
            return None
    return codec.encode_output(request_output.name, payload)


def encode_inference_response(
    payload: Any, model_settings: ModelSettings, *, codecs: Codecs | None = None
) -> InferenceResponse | None:
    """A response of the model that holds ``payload``; None where no codec can encode it.

    Raises:
        CodecError: the first codec that says it can encode ``payload`` cannot.
    """
    try:
        codec = (codecs or built_in_codecs()).request_codec_for(payload)
    except CodecNotFound:
        return None
    return codec.encode_response(model_settings.name, payload, model_settings.version)
