"""Tensors in protobuf messages to types and back (Open Inference Protocol, "gRPC").

The messages are upb ones. Fixed-width numbers are taken from, and put into, the packed
bytes of their field, so that no Python object is made per element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    TensorData,
)
from mlserver_core.types.datatypes import to_dtype
from mlserver_core.wire.outputs import output_values
from mlserver_core.wire.parameters import decode_parameters, encode_parameters
from mlserver_core.wire.raw import Buffer, decode_raw, encode_raw

Tensor = TypeVar("Tensor", RequestInput, ResponseOutput)

#: The field of InferTensorContents that holds a datatype; FP16 and BF16 have none.
FIELDS = {
    Datatype.BOOL: "bool_contents",
    Datatype.INT8: "int_contents",
    Datatype.INT16: "int_contents",
    Datatype.INT32: "int_contents",
    Datatype.INT64: "int64_contents",
    Datatype.UINT8: "uint_contents",
    Datatype.UINT16: "uint_contents",
    Datatype.UINT32: "uint_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
    Datatype.BYTES: "bytes_contents",
}
#: Packed fields whose bytes on the wire are the array's own: number, dtype on the wire.
_FLAT: dict[str, tuple[int, np.dtype]] = {
    "bool_contents": (1, np.dtype("u1")),
    "fp32_contents": (6, np.dtype("<f4")),
    "fp64_contents": (7, np.dtype("<f8")),
}
#: What the varint fields hold.
_VARINT: dict[str, np.dtype] = {
    "int_contents": np.dtype("i4"),
    "int64_contents": np.dtype("i8"),
    "uint_contents": np.dtype("u4"),
    "uint64_contents": np.dtype("u8"),
}


def decode_request(
    message: Any, contents: Sequence[Buffer] | None = None
) -> tuple[InferenceRequest, bool]:
    """A ModelInferRequest as an inference request, and whether its tensors came raw.

    Args:
        message: the request.
        contents: its raw contents, where they are no longer in it.

    Raises:
        InvalidRequest: names the tensor, what was expected and what came.
    """
    raw = list(message.raw_input_contents) if contents is None else contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequest(
            f"raw_input_contents has {len(raw)} buffers for {len(message.inputs)} inputs; "
            "expected one per input"
        )
    inputs = [
        decode_tensor(tensor, raw[index] if raw else None, RequestInput)
        for index, tensor in enumerate(message.inputs)
    ]
    outputs = [
        RequestOutput(name=output.name, parameters=decode_parameters(output.parameters))
        for output in message.outputs
    ]
    request = InferenceRequest(
        id=message.id or None,
        parameters=decode_parameters(message.parameters),
        inputs=inputs,
        outputs=outputs or None,
    )
    return request, bool(raw)


def encode_response(response: InferenceResponse, message: Any, *, raw: bool) -> None:
    """Fills an empty ModelInferResponse.

    Args:
        response: what the model answered.
        message: the empty message.
        raw: send raw contents. FP16 and BF16 outputs make every output raw.

    Raises:
        RuntimeFailed: an output holds what its datatype cannot.
    """
    message.model_name = response.model_name
    message.model_version = response.model_version or ""
    message.id = response.id or ""
    encode_parameters(response.parameters, message.parameters)
    raw = raw or any(output.datatype not in FIELDS for output in response.outputs)
    for output in response.outputs:
        tensor = message.outputs.add()
        tensor.name = output.name
        tensor.datatype = output.datatype.value
        tensor.shape.extend(output.shape)
        encode_parameters(output.parameters, tensor.parameters)
        values = output_values(output)
        if raw:
            message.raw_output_contents.append(encode_raw(values))
        else:
            fill_contents(tensor.contents, FIELDS[output.datatype], values)


def decode_tensor(tensor: Any, raw: Buffer | None, cls: type[Tensor]) -> Tensor:
    """An input or output tensor of a message.

    Args:
        tensor: the message.
        raw: its buffer in the raw contents; None where its elements are typed.
        cls: what to make of it.

    Raises:
        InvalidRequest: names the tensor, what was expected and what came.
    """
    try:
        datatype = Datatype(tensor.datatype)
    except ValueError:
        raise InvalidRequest(
            f"tensor {tensor.name!r}: expected one of {', '.join(Datatype)} as datatype, "
            f"got {tensor.datatype!r}"
        ) from None
    shape = list(tensor.shape)
    if raw is None:
        data = _from_contents(tensor, datatype)
    elif tensor.contents.ListFields():
        raise InvalidRequest(
            f"tensor {tensor.name!r}: has contents although raw_input_contents is used; "
            "send one of the two"
        )
    else:
        data = decode_raw(tensor.name, datatype, shape, raw)
    return cls(
        name=tensor.name,
        shape=shape,
        datatype=datatype,
        parameters=decode_parameters(tensor.parameters, f"tensor {tensor.name!r}: "),
        data=TensorData(data),
    )


def _from_contents(tensor: Any, datatype: Datatype) -> Any:
    field = FIELDS.get(datatype)
    if field is None:
        raise InvalidRequest(
            f"tensor {tensor.name!r}: {datatype} has no typed contents; "
            "send it in raw_input_contents"
        )
    for present, _ in tensor.contents.ListFields():
        if present.name != field:
            raise InvalidRequest(
                f"tensor {tensor.name!r}: expected {datatype} in {field}, got {present.name}"
            )
    values = getattr(tensor.contents, field)
    if field == "bytes_contents":
        return list(values)
    if field in _VARINT:
        return np.fromiter(values, _VARINT[field], len(values))
    packed = _packed(tensor.contents, *_FLAT[field], len(values))
    if packed is None:
        packed = np.fromiter(values, _FLAT[field][1], len(values))
    return packed.astype(to_dtype(datatype))


def _packed(contents: Any, number: int, dtype: np.dtype, count: int) -> np.ndarray | None:
    """The elements out of the message's own bytes; None where those hold something else."""
    data = contents.SerializeToString()
    prefix = _prefix(number, count * dtype.itemsize)
    if len(data) != len(prefix) + count * dtype.itemsize or not data.startswith(prefix):
        return None
    return np.frombuffer(data, dtype, count, len(prefix))


def _prefix(number: int, size: int) -> bytes:
    """Tag and length of a packed field (protobuf encoding: wire type 2, base-128 length)."""
    prefix = bytearray([number << 3 | 2])
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix)


def fill_contents(contents: Any, field: str, values: Any) -> None:
    """Puts a flat array, or a list of ``bytes``, into one field of InferTensorContents."""
    contents.SetInParent()
    if field == "bytes_contents":
        contents.bytes_contents.extend(values)
    elif field in _VARINT:
        # A memoryview hands out Python integers without a list of them.
        getattr(contents, field).extend(memoryview(values.astype(_VARINT[field], copy=False)))
    elif values.size:
        number, dtype = _FLAT[field]
        data = values.astype(dtype, copy=False).tobytes()
        contents.MergeFromString(_prefix(number, len(data)) + data)
