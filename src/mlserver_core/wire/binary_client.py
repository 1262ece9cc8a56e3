"""The client's side of binary tensors over REST (Triton's binary tensor data extension).

A body is JSON and then the raw buffers of the tensors whose parameters have
``binary_data_size`` (bytes), in their order; a header says how long the JSON is.
"""

from __future__ import annotations

from typing import Any

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver_core.types.converter import structure
from mlserver_core.types.tensor_data import TensorData
from mlserver_core.wire.json import encode
from mlserver_core.wire.json_client import decode_json, decode_response, encode_head
from mlserver_core.wire.raw import decode_raw, encode_raw
from mlserver_core.wire.tensor_client import input_values

#: The header with the length of the JSON part in bytes.
LENGTH_HEADER = "Inference-Header-Content-Length"
_SIZE = "binary_data_size"


def encode_binary_request(request: InferenceRequest) -> tuple[bytes, int]:
    """The body of a request with all tensors binary, and the length of its JSON part in bytes.

    It asks for binary outputs unless its parameters say otherwise.

    Raises:
        InvalidRequest: data does not fit its tensor.
    """
    plain = encode_head(request)
    plain["parameters"] = {"binary_data_output": True, **plain.get("parameters", {})}
    buffers = [encode_raw(input_values(tensor)) for tensor in request.inputs]
    for tensor, buffer in zip(plain["inputs"], buffers, strict=True):
        tensor["parameters"] = {**tensor.get("parameters", {}), _SIZE: len(buffer)}
    head = encode(plain)
    return b"".join([head, *buffers]), len(head)


def decode_binary_response(body: bytes, length: str | None) -> InferenceResponse:
    """An inference response whose outputs may be binary.

    Args:
        body: the whole body.
        length: the value of the header; None where the answer is JSON alone.

    Raises:
        InvalidRequest: header, JSON part and buffers do not fit together; says what.
    """
    if length is None:
        return decode_response(body)
    if not (length.isascii() and length.isdigit() and int(length) <= len(body)):
        raise InvalidRequest(
            f"expected at most {len(body)}, the length of the body, as {LENGTH_HEADER}, "
            f"got {length!r}"
        )
    offset = int(length)
    response = _read_head(body[:offset])
    for output in response.outputs:
        size = _take_size(output)
        if size is not None:
            raw = body[offset : offset + size]
            elements = decode_raw(output.name, output.datatype, output.shape, raw)
            output.data = TensorData(elements)
            offset += size
    if offset != len(body):
        raise InvalidRequest(
            f"the outputs announce {offset - int(length)} bytes of binary data, "
            f"got {len(body) - int(length)}"
        )
    return response


def _read_head(head: bytes) -> InferenceResponse:
    plain: Any = decode_json(head)
    if isinstance(plain, dict) and isinstance(plain.get("outputs"), list):
        for output in plain["outputs"]:
            if isinstance(output, dict) and _SIZE in (output.get("parameters") or ()):
                output.setdefault("data", [])
    return structure(plain, InferenceResponse)


def _take_size(output: ResponseOutput) -> int | None:
    """How many bytes an output has behind the JSON; the parameter is gone afterwards."""
    if output.parameters is None or _SIZE not in output.parameters.model_extra:
        return None
    size = output.parameters.model_extra.pop(_SIZE)
    if type(size) is not int or size < 0:
        raise InvalidRequest(f"output {output.name!r}: expected bytes as {_SIZE}, got {size!r}")
    if not output.parameters.to_plain():
        output.parameters = None
    return size
