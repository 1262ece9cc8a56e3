"""Merges requests that agree into one call, and splits its answer by rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import orjson

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    ResponseOutput,
)
from mlserver_core.types.tensor_data import TensorData
from mlserver_core.types.tensors import count_elements, to_elements


@attrs.frozen(eq=False)
class Mergeable:
    """A request that can be merged with others.

    Attributes:
        request: the request.
        key: equal for requests that agree: in names, datatypes, trailing shapes and parameters
            of the inputs, in the request's parameters and in the outputs asked for.
        rows: the first dimension of each of its inputs.
        values: per input its elements, a flat array or for BYTES a list.
    """

    request: InferenceRequest
    key: bytes
    rows: int
    values: list[Any]


def to_mergeable(request: InferenceRequest) -> Mergeable | None:
    """The request as one to merge.

    None where it must go alone: its inputs have no first dimension in common, no rows, or data
    that does not fit, which is for the server to refuse.
    """
    rows = {tensor.shape[0] if tensor.shape else 0 for tensor in request.inputs}
    if len(rows) != 1 or 0 in rows:
        return None
    try:
        values = [_flat(tensor) for tensor in request.inputs]
    except InvalidRequest:
        return None
    inputs = [
        (each.name, each.datatype, each.shape[1:], _plain(each.parameters))
        for each in request.inputs
    ]
    outputs = [(each.name, _plain(each.parameters)) for each in request.outputs or ()]
    facts = [inputs, outputs, _plain(request.parameters)]
    key = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
    return Mergeable(request=request, key=key, rows=rows.pop(), values=values)


def merge(parts: Sequence[Mergeable]) -> InferenceRequest:
    """One request with the rows of all, which have the same key."""
    first = parts[0].request
    rows = sum(part.rows for part in parts)
    inputs = [
        RequestInput(
            name=tensor.name,
            shape=[rows, *tensor.shape[1:]],
            datatype=tensor.datatype,
            parameters=tensor.parameters,
            data=TensorData(_join([part.values[position] for part in parts])),
        )
        for position, tensor in enumerate(first.inputs)
    ]
    return InferenceRequest(parameters=first.parameters, inputs=inputs, outputs=first.outputs)


def split(response: InferenceResponse, parts: Sequence[Mergeable]) -> list[InferenceResponse]:
    """The answer to a merged request as one answer for each part of it.

    Raises:
        InvalidRequest: an output does not have a row for each row that was sent.
    """
    rows = [part.rows for part in parts]
    if not response.outputs:
        raise InvalidRequest("the answer has no outputs to split")
    outputs = [_split_output(output, rows) for output in response.outputs]
    return [
        InferenceResponse(
            model_name=response.model_name,
            model_version=response.model_version,
            id=part.request.id,
            parameters=_copy(response.parameters),
            outputs=[each[position] for each in outputs],
        )
        for position, part in enumerate(parts)
    ]


def _split_output(output: ResponseOutput, rows: Sequence[int]) -> list[ResponseOutput]:
    total = sum(rows)
    if not output.shape or output.shape[0] != total:
        raise InvalidRequest(
            f"output {output.name!r}: shape {output.shape} does not have {total} rows"
        )
    values = _flat(output)
    width = len(values) // total
    ends = list(itertools.accumulate(rows))
    return [
        ResponseOutput(
            name=output.name,
            shape=[count, *output.shape[1:]],
            datatype=output.datatype,
            parameters=_copy(output.parameters),
            data=TensorData(values[(end - count) * width : end * width]),
        )
        for count, end in zip(rows, ends, strict=True)
    ]


def _flat(tensor: RequestInput | ResponseOutput) -> Any:
    """The elements, exactly as many as the shape says."""
    values = to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
    if tensor.datatype is not Datatype.BYTES:
        return np.ascontiguousarray(values).reshape(-1)
    if len(values) != count_elements(tensor.name, tensor.shape):
        raise InvalidRequest(f"tensor {tensor.name!r}: not a string per element of its shape")
    return values


def _join(values: Sequence[Any]) -> Any:
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    return list(itertools.chain.from_iterable(values))


def _plain(parameters: Parameters | None) -> dict[str, Any]:
    return parameters.to_plain() if parameters else {}


def _copy(parameters: Parameters | None) -> Parameters | None:
    return parameters.model_copy() if parameters else None
