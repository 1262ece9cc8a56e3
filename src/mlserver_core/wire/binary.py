"""Binary tensors over REST (Triton's binary tensor data extension), the server's side.

A body is JSON and then the raw buffers of the tensors whose parameters have
``binary_data_size`` (bytes), in their order; a header says how long the JSON is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    RequestInput,
    ResponseOutput,
)
from mlserver_core.types.converter import show, structure
from mlserver_core.types.datatypes import to_dtype
from mlserver_core.wire import json
from mlserver_core.wire.outputs import output_values
from mlserver_core.wire.raw import decode_raw, raw_parts

#: The header with the length of the JSON part in bytes.
LENGTH_HEADER = "Inference-Header-Content-Length"
_SIZE = "binary_data_size"
_LENGTH = LENGTH_HEADER.lower()


@attrs.frozen(kw_only=True)
class BinaryOutputs:
    """Which outputs of an answer go out binary.

    Attributes:
        otherwise: those that are not named.
        named: by the output's name.
    """

    otherwise: bool = False
    named: Mapping[str, bool] = attrs.field(factory=dict)

    def has(self, name: str) -> bool:
        """Is this output to be binary?"""
        return self.named.get(name, self.otherwise)


#: What requests want that say nothing of it.
_JSON_ONLY = BinaryOutputs()


def is_raw_only(headers: Mapping[str, str]) -> bool:
    """Is the body one tensor without any JSON? It is read with the model's metadata."""
    return headers.get(_LENGTH) == "0"


def decode_request(
    body: bytes | bytearray,
    headers: Mapping[str, str],
    inputs: Sequence[MetadataTensor] | None = None,
) -> tuple[InferenceRequest, BinaryOutputs]:
    """An inference request from a REST body, with or without binary tensors.

    Args:
        body: the whole body.
        headers: the request's headers, names in lower case.
        inputs: what the model declares to take, for a body without JSON.

    Returns:
        The request, in which nothing is left of how its tensors came, and the outputs that
        it wants binary.

    Raises:
        InvalidRequest: header, JSON and buffers do not fit together; says where.
    """
    if is_raw_only(headers):
        tensor = _decode_only_input(memoryview(body), inputs or ())
        return InferenceRequest(inputs=[tensor]), BinaryOutputs(otherwise=True)
    if _LENGTH in headers:
        request = _decode_mixed(memoryview(body), headers)
    else:
        request = json.decode_request(body, headers)
    return request, _take_wanted(request)


def encode_response(response: InferenceResponse, wanted: BinaryOutputs) -> tuple[bytes, int | None]:
    """The body of an inference answer, and the length of its JSON part in bytes.

    The length is None where no output is binary: such a body is JSON alone.

    Raises:
        RuntimeFailed: an output cannot be sent as it is wanted.
    """
    if wanted is _JSON_ONLY or not any(wanted.has(output.name) for output in response.outputs):
        return json.encode_response(response), None
    parts: list[Any] = [b""]
    outputs = [
        _encode_output(output, parts) if wanted.has(output.name) else json.plain_output(output)
        for output in response.outputs
    ]
    parts[0] = json.encode(json.plain_response(response, outputs))
    return b"".join(parts), len(parts[0])


def _encode_output(output: ResponseOutput, parts: list[Any]) -> dict[str, Any]:
    """The object of an output, whose buffer goes to the end of ``parts``."""
    buffer = raw_parts(output_values(output))
    parts += buffer
    plain = json.plain_head(output)
    size = sum(map(len, buffer))
    return {**plain, "parameters": {**plain.get("parameters", {}), _SIZE: size}}


def _decode_mixed(body: memoryview, headers: Mapping[str, str]) -> InferenceRequest:
    length = _read_length(headers[_LENGTH], len(body))
    plain = json.decode_plain(body[:length], headers)
    sizes = _take_sizes(plain)
    request = structure(plain, InferenceRequest)
    announced = sum(size or 0 for size in sizes)
    if announced != len(body) - length:
        raise InvalidRequest(
            f"the inputs announce {announced} bytes of binary data, got {len(body) - length} "
            f"after the {length} bytes of JSON"
        )
    for tensor, size in zip(request.inputs, sizes, strict=True):
        if size is not None:
            buffer = body[length : length + size]
            if 2 * size < len(body):  # a small array that is kept would keep the whole body
                buffer = buffer.toreadonly()
            tensor.data.root = decode_raw(tensor.name, tensor.datatype, tensor.shape, buffer)
            length += size
    return request


def _read_length(text: str, limit: int) -> int:
    # Python refuses to read very long numbers.
    digits = text.isascii() and text.isdigit() and len(text) < 20
    if not digits or int(text) > limit:
        raise InvalidRequest(
            f"{LENGTH_HEADER}: expected the length of the JSON part, at most the {limit} bytes "
            f"of the body, got {show(text)}"
        )
    return int(text)


def _take_sizes(plain: Any) -> list[int | None]:
    """How many bytes each input has behind the JSON; an empty ``data`` stands in their place."""
    inputs = plain.get("inputs") if isinstance(plain, dict) else None
    return [
        _take_size(f"inputs[{index}]", tensor)
        for index, tensor in enumerate(inputs if isinstance(inputs, list) else ())
    ]


def _take_size(where: str, tensor: Any) -> int | None:
    parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
    if not isinstance(parameters, dict) or _SIZE not in parameters:
        return None
    size = parameters.pop(_SIZE)
    if type(size) is not int or size < 0:
        raise InvalidRequest(
            f"{where}.parameters.{_SIZE}: expected a number of bytes, got {show(size)}"
        )
    if tensor.get("data") is not None:
        raise InvalidRequest(f"{where}: has data although it announces {_SIZE}; send one of them")
    if not parameters:
        del tensor["parameters"]
    tensor["data"] = []
    return size


def _take_wanted(request: InferenceRequest) -> BinaryOutputs:
    """Which outputs are to be binary; the parameters that say so are gone afterwards."""
    if request.outputs is None and (
        request.parameters is None or "binary_data_output" not in request.parameters.model_extra
    ):
        return _JSON_ONLY
    named = {}
    for index, output in enumerate(request.outputs or ()):
        wanted = _take_flag(output.parameters, "binary_data", f"outputs[{index}].")
        if wanted is not None:
            named[output.name] = wanted
            if not output.parameters or not output.parameters.to_plain():
                output.parameters = None
    otherwise = _take_flag(request.parameters, "binary_data_output", "")
    return BinaryOutputs(otherwise=bool(otherwise), named=named)


def _take_flag(parameters: Parameters | None, name: str, where: str) -> bool | None:
    if parameters is None or name not in parameters.model_extra:
        return None
    flag = parameters.model_extra.pop(name)
    if not isinstance(flag, bool):
        raise InvalidRequest(f"{where}parameters.{name}: expected true or false, got {show(flag)}")
    return flag


def _decode_only_input(body: memoryview, inputs: Sequence[MetadataTensor]) -> RequestInput:
    if len(inputs) != 1:
        raise InvalidRequest(
            f"{LENGTH_HEADER} is 0, so the body is the model's only input, but its metadata has "
            f"{len(inputs)} inputs; send the JSON part too"
        )
    (declared,) = inputs
    shape = _fit_shape(declared, len(body))
    data: Any = [bytes(body)]
    if declared.datatype is not Datatype.BYTES:
        data = decode_raw(declared.name, declared.datatype, shape, body)
    return RequestInput(name=declared.name, shape=shape, datatype=declared.datatype, data=data)


def _fit_shape(declared: MetadataTensor, size: int) -> list[int]:
    """The declared shape with its free dimensions filled in, for a body of ``size`` bytes.

    One free dimension is as large as the body makes it. With two, the first is the batch,
    which is 1.
    """
    shape = list(declared.shape)
    free = [index for index, length in enumerate(shape) if length < 0]
    if declared.datatype is Datatype.BYTES:
        free_one = [1 if length < 0 else length for length in shape] or [1]
        if math.prod(free_one) == 1:
            return free_one
    elif len(free) <= 1 or (len(free) == 2 and free[0] == 0):
        if len(free) == 2:
            shape[0] = 1
        if free:
            row = math.prod(length for length in shape if length >= 0)
            row *= to_dtype(declared.datatype).itemsize
            shape[free[-1]] = size // row if row else 0
        return shape
    raise InvalidRequest(
        f"{LENGTH_HEADER} is 0, but the body alone does not tell the shape of input "
        f"{declared.name!r}, which is declared as {shape} of {declared.datatype}; send the "
        "JSON part too"
    )
