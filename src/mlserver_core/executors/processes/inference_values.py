"""Forms of requests, responses and their context: lists of the fields, in order."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from mlserver_core.executors.processes.packing import (
    Packer,
    PackForm,
    Unpacker,
    UnpackForm,
    Unsendable,
)
from mlserver_core.executors.processes.plain_values import form
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    TensorData,
)
from mlserver_core.types.context import BatchedRequest, RequestContext

_DATATYPES = {str(datatype): datatype for datatype in Datatype}


def _pack_request(packer: Packer, request: InferenceRequest) -> Any:
    return form(
        "request",
        (
            request.id,
            _pack_parameters(packer, request.parameters),
            _pack_tensors(packer, "inputs", request.inputs),
            None if request.outputs is None else _pack_requested(packer, request.outputs),
        ),
    )


def _unpack_request(unpacker: Unpacker, node: Any) -> InferenceRequest:
    id, parameters, inputs, outputs = node
    return InferenceRequest(
        id=id,
        parameters=_unpack_parameters(unpacker, parameters),
        inputs=_unpack_tensors(unpacker, RequestInput, inputs),
        outputs=None if outputs is None else _unpack_requested(unpacker, outputs),
    )


def _pack_response(packer: Packer, response: InferenceResponse) -> Any:
    return form(
        "response",
        (
            response.model_name,
            response.model_version,
            response.id,
            _pack_parameters(packer, response.parameters),
            _pack_tensors(packer, "outputs", response.outputs),
        ),
    )


def _unpack_response(unpacker: Unpacker, node: Any) -> InferenceResponse:
    model_name, model_version, id, parameters, outputs = node
    return InferenceResponse(
        model_name=model_name,
        model_version=model_version,
        id=id,
        parameters=_unpack_parameters(unpacker, parameters),
        outputs=_unpack_tensors(unpacker, ResponseOutput, outputs),
    )


def _pack_tensors(packer: Packer, where: str, tensors: list[Any]) -> list[Any]:
    packed: list[Any] = []
    try:
        for each in tensors:
            parameters = _pack_parameters(packer, each.parameters) if each.parameters else None
            data = _pack_data(packer, each.data)
            packed.append((each.name, each.shape, each.datatype, parameters, data))
    except Unsendable as error:
        raise error.under(f".{where}[{len(packed)}]") from None
    return packed


def _unpack_tensors(unpacker: Unpacker, cls: Any, nodes: Any) -> list[Any]:
    return [
        cls(
            name=name,
            shape=shape,
            datatype=_DATATYPES[datatype],
            parameters=None if parameters is None else _unpack_parameters(unpacker, parameters),
            data=_unpack_data(unpacker, data),
        )
        for name, shape, datatype, parameters, data in nodes
    ]


def _pack_data(packer: Packer, data: TensorData) -> Any:
    """Three things for an array of numbers; one for anything else."""
    root = data.root
    try:
        if type(root) is np.ndarray and root.dtype.kind != "O":
            return packer.put_array(root)
        return (packer.pack(root),)
    except Unsendable as error:
        raise error.under(".data") from None


def _unpack_data(unpacker: Unpacker, node: Any) -> TensorData:
    array = len(node) == 3
    return TensorData(unpacker.take_array(*node) if array else unpacker.unpack(node[0]))


def _pack_requested(packer: Packer, outputs: list[RequestOutput]) -> Any:
    packed: list[Any] = []
    try:
        packed.extend((each.name, _pack_parameters(packer, each.parameters)) for each in outputs)
    except Unsendable as error:
        raise error.under(f".outputs[{len(packed)}]") from None
    return packed


def _unpack_requested(unpacker: Unpacker, node: Any) -> list[RequestOutput]:
    return [
        RequestOutput(name=name, parameters=_unpack_parameters(unpacker, parameters))
        for name, parameters in node
    ]


def _pack_parameters(packer: Packer, parameters: Parameters | None) -> Any:
    if parameters is None:
        return None
    headers, extra = parameters.headers, parameters.model_extra
    try:
        return (
            parameters.content_type,
            None if headers is None else packer.pack_headers(headers),
            packer.pack(extra) if extra else None,
        )
    except Unsendable as error:
        raise error.under(".parameters") from None


def _unpack_parameters(unpacker: Unpacker, node: Any) -> Parameters | None:
    if node is None:
        return None
    content_type, headers, extra = node
    made = Parameters(
        content_type=content_type,
        headers=None if headers is None else unpacker.unpack_headers(headers),
    )
    if extra is not None:
        made.model_extra = unpacker.unpack(extra)
    return made


def _pack_context(packer: Packer, context: RequestContext) -> Any:
    now = time.monotonic()
    return form(
        "context",
        (
            context.transport,
            packer.pack_headers(context.headers),
            None if context.deadline is None else context.deadline - now,
            None if context.start_by is None else context.start_by - now,
            context.request_id,
            context.cancelled,
            [(each.id, packer.pack_headers(each.headers), *each.rows) for each in context.batch],
        ),
    )


def _unpack_context(unpacker: Unpacker, node: Any) -> RequestContext:
    transport, headers, deadline, start_by, request_id, cancelled, batch = node
    now = time.monotonic()
    return RequestContext(
        transport=transport,
        headers=unpacker.unpack_headers(headers),
        deadline=None if deadline is None else now + deadline,
        start_by=None if start_by is None else now + start_by,
        request_id=request_id,
        cancelled=cancelled,
        batch=tuple(_unpack_batched(unpacker, each) for each in batch) if batch else (),
    )


def _unpack_batched(unpacker: Unpacker, node: Any) -> BatchedRequest:
    id, headers, start, end = node
    return BatchedRequest(id=id, headers=unpacker.unpack_headers(headers), rows=(start, end))


PACK: dict[type, PackForm] = {
    InferenceRequest: _pack_request,
    InferenceResponse: _pack_response,
    RequestContext: _pack_context,
    Parameters: lambda packer, value: form("parameters", _pack_parameters(packer, value)),
    TensorData: lambda packer, value: form("data", _pack_data(packer, value)),
}
UNPACK: dict[str, UnpackForm] = {
    "request": _unpack_request,
    "response": _unpack_response,
    "context": _unpack_context,
    "parameters": _unpack_parameters,
    "data": _unpack_data,
}
