"""The client's side of V2 JSON bodies (Open Inference Protocol, "HTTP/REST")."""

from __future__ import annotations

from typing import Any

import orjson

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.converter import structure
from mlserver_core.wire.json import encode


def encode_request(request: InferenceRequest) -> bytes:
    """The body of an inference request; arrays in it are flat."""
    plain = encode_head(request)
    for tensor, described in zip(request.inputs, plain["inputs"], strict=True):
        described["data"] = tensor.data.root
    return encode(plain)


def encode_head(request: InferenceRequest) -> dict[str, Any]:
    """Everything of a request but the tensors' data, as plain JSON data."""
    plain: dict[str, Any] = {}
    if request.id is not None:
        plain["id"] = request.id
    if request.parameters is not None:
        plain["parameters"] = request.parameters.to_plain()
    plain["inputs"] = [
        _without_none(
            name=tensor.name,
            shape=tensor.shape,
            datatype=tensor.datatype,
            parameters=tensor.parameters and tensor.parameters.to_plain(),
        )
        for tensor in request.inputs
    ]
    if request.outputs is not None:
        plain["outputs"] = [
            _without_none(name=each.name, parameters=each.parameters and each.parameters.to_plain())
            for each in request.outputs
        ]
    return plain


def decode_response(body: bytes) -> InferenceResponse:
    """An inference response from a JSON body.

    Raises:
        InvalidRequest: it is no JSON, or no inference response; says where.
    """
    return structure(decode_json(body), InferenceResponse)


def decode_json(body: bytes) -> Any:
    """Plain data from a JSON answer; raises InvalidRequest where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"no valid JSON: {error}") from None


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
