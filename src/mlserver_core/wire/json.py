"""V2 JSON bodies to types and back (Open Inference Protocol, "HTTP/REST")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import orjson

from mlserver_core.errors import InvalidRequest, RuntimeFailed
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver_core.types.converter import structure
from mlserver_core.types.plain_requests import to_plain_request
from mlserver_core.wire import json_arrays

T = TypeVar("T")
#: What a body may come as.
Body = bytes | bytearray | memoryview

#: Parameters of a tensor that say how its data travel (Triton's binary tensor data extension).
TRANSFER_PARAMETERS = frozenset({"binary_data", "binary_data_size"})

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def decode_request(body: bytes | bytearray, headers: Mapping[str, str]) -> InferenceRequest:
    """An inference request from a REST body without binary tensors.

    Args:
        body: the whole body.
        headers: the request's headers, names in lower case.

    Raises:
        InvalidRequest: no JSON, or not an inference request; says where.
    """
    _check_content_type(headers.get("content-type", ""))
    plain = _load(body, json_arrays.loads)
    return to_plain_request(plain) or structure(plain, InferenceRequest)


def decode(body: Body, headers: Mapping[str, str], cls: type[T]) -> T:
    """A ``cls`` from a JSON body; an empty body is an empty object.

    Raises:
        InvalidRequest: another content type, no JSON, or JSON that does not fit ``cls``.
    """
    return structure(decode_plain(body, headers), cls)


def decode_plain(body: Body, headers: Mapping[str, str]) -> Any:
    """The plain data of a JSON body; an empty body is an empty object.

    Raises:
        InvalidRequest: another content type, or no JSON.
    """
    _check_content_type(headers.get("content-type", ""))
    return _load(body, orjson.loads)


def _load(body: Body, loads: Callable[[Any], Any]) -> Any:
    try:
        return loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the request body is not valid JSON: {error}") from None


def encode_response(response: InferenceResponse) -> bytes:
    """The body of an inference answer: flat data, NaN and infinities as ``null``.

    Raises:
        RuntimeFailed: BYTES that are no UTF-8, or values that JSON cannot carry.
    """
    return encode(plain_response(response, map(plain_output, response.outputs)))


def plain_response(
    response: InferenceResponse, outputs: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """The object of an answer, with these outputs."""
    plain: dict[str, Any] = {"model_name": response.model_name}
    if response.model_version:
        plain["model_version"] = response.model_version
    if response.id is not None:
        plain["id"] = response.id
    plain["parameters"] = response.parameters.to_plain() if response.parameters else {}
    plain["outputs"] = list(outputs)
    return plain


def plain_output(output: ResponseOutput) -> dict[str, Any]:
    """The object of an output with its data."""
    plain = plain_head(output)
    plain["data"] = _flat(output.data.root)
    return plain


def plain_head(output: ResponseOutput) -> dict[str, Any]:
    """The object of an output without its data.

    How its data travel is the server's affair: a runtime that copies the parameters of an
    input does not say so by them.
    """
    plain: dict[str, Any] = {"name": output.name, "shape": output.shape}
    plain["datatype"] = output.datatype
    if output.parameters is not None:
        parameters = output.parameters.to_plain()
        for name in TRANSFER_PARAMETERS.intersection(parameters):
            del parameters[name]
        plain["parameters"] = parameters
    return plain


def encode(value: Any) -> bytes:
    """JSON of plain data, numpy arrays included.

    Raises:
        RuntimeFailed: for what has no JSON form.
    """
    try:
        return orjson.dumps(value, default=_encode_unknown, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        reason = error.__cause__ or error
        raise RuntimeFailed(f"the answer cannot be sent as JSON: {reason}") from None


def _check_content_type(content_type: str) -> None:
    """JSON by any name, or no name at all; tritonclient says octet-stream or nothing."""
    if content_type == "application/json":
        return
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", "application/json", "application/octet-stream") or kind.endswith("+json"):
        return
    raise InvalidRequest(
        f"the request body is announced as {kind!r}; send JSON with the header "
        "'Content-Type: application/json'"
    )


def _flat(data: Any) -> Any:
    """Arrays as one contiguous dimension in native byte order, which is what orjson takes."""
    if not isinstance(data, np.ndarray):
        return data
    if data.flags.c_contiguous and data.dtype.isnative:
        return data.reshape(-1)
    return np.ascontiguousarray(data, data.dtype.newbyteorder("=")).reshape(-1)


def _encode_unknown(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise TypeError(
                "an output holds bytes that are not UTF-8 text; "
                "encode it with the content type base64, or ask over gRPC"
            ) from None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):  # an element type or a layout orjson does not take
        return value.astype(np.float64) if value.dtype.name == "bfloat16" else value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
