"""Makes one request of several, and of its answer one for each of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from mlserver_core.engine.batching.parts import Part, elements_of
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    TensorData,
)


@attrs.define(eq=False, slots=False)
class Unsplittable(Exception):
    """An answer that does not say which of its rows belong to whom; the text says why."""

    message: str

    def __str__(self) -> str:
        return self.message


def merge(parts: Sequence[Part], id: str | None = None) -> InferenceRequest:
    """One request with the rows of all, in order.

    What the first has in common with the others is copied, so that a model which changes it
    changes it for nobody else. Arrays are new; they are flat unless all parts have theirs in
    its shape.

    Args:
        parts: of equal keys.
        id: for the request that is made, which has no headers.
    """
    first, rows = parts[0].request, sum(part.rows for part in parts)
    inputs = [
        RequestInput(
            name=tensor.name,
            shape=[rows, *tensor.shape[1:]],
            datatype=tensor.datatype,
            parameters=_copy(tensor.parameters),
            data=TensorData(_join([part.values[position] for part in parts])),
        )
        for position, tensor in enumerate(first.inputs)
    ]
    outputs = first.outputs
    if outputs is not None:
        outputs = [
            RequestOutput(name=each.name, parameters=_copy(each.parameters)) for each in outputs
        ]
    parameters = _copy(first.parameters)
    if parameters is not None:
        parameters.headers = None  # these alone may differ, and are nobody else's business
    return InferenceRequest(id=id, parameters=parameters, inputs=inputs, outputs=outputs)


def split(response: InferenceResponse, parts: Sequence[Part]) -> list[InferenceResponse]:
    """The answer to a merged request as one for each of its parts.

    Arrays are views of the rows in question, which no two answers share; parameters and headers
    are copies.

    Raises:
        Unsplittable: an output does not have a row for each row that was asked.
    """
    ends = list(itertools.accumulate(part.rows for part in parts))
    slices = [slice(end - part.rows, end) for part, end in zip(parts, ends, strict=True)]
    outputs = [_split_output(output, slices) for output in response.outputs]
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


def _split_output(output: ResponseOutput, slices: Sequence[slice]) -> list[ResponseOutput]:
    total = slices[-1].stop
    if not output.shape or output.shape[0] != total:
        raise Unsplittable(f"output {output.name!r} has shape {output.shape} for {total} rows")
    try:
        values = elements_of(output)
    except InvalidRequest as error:
        raise Unsplittable(str(error)) from None
    width = len(values) // total  # 1 where the array is in its shape
    return [
        ResponseOutput(
            name=output.name,
            shape=[rows.stop - rows.start, *output.shape[1:]],
            datatype=output.datatype,
            parameters=_copy(output.parameters),
            data=TensorData(values[rows.start * width : rows.stop * width]),
        )
        for rows in slices
    ]


def _join(values: Sequence[Any]) -> Any:
    if not isinstance(values[0], np.ndarray):
        return list(itertools.chain.from_iterable(values))
    if all(each.ndim > 1 for each in values):
        return np.concatenate(values)
    return np.concatenate([each.reshape(-1) for each in values])


def _copy(parameters: Parameters | None) -> Parameters | None:
    """A copy that shares nothing that can be changed."""
    if parameters is None:
        return None
    made = parameters.model_copy()
    made.model_extra = _unshared(made.model_extra)
    made.headers = _unshared(made.headers)
    return made


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unshared(each) for name, each in value.items()}
    return list(map(_unshared, value)) if isinstance(value, list) else value
