"""What the model is asked: single rows, of a file or made up, and bad ones."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from mlserver_core.cli.inference.lines import read_line
from mlserver_core.engine.batching.parts import Part, to_part
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    MetadataTensor,
    RequestInput,
    TensorData,
)
from mlserver_core.types.datatypes import FLOATS, to_dtype

#: Rows that are made up, and the size of a dimension that the model leaves open.
_MADE, _OPEN = 32, 1


@attrs.frozen
class Row:
    """Something to ask.

    Attributes:
        name: what the user knows it by.
        request: asks it.
    """

    name: str
    request: InferenceRequest


def read_rows(path: str, what: str = "line") -> list[Row]:
    """The rows of a file with a request as JSON per line, as ``mlserver infer`` reads it.

    A request with several rows is cut into them; one that cannot be stays whole.

    Raises:
        InvalidRequest: a line is no request, or there is none.
    """
    rows: list[Row] = []
    for index, text in enumerate(Path(path).read_bytes().split(b"\n")):
        line = read_line(index, text)
        if line.problem:
            raise InvalidRequest(f"{path}, line {index + 1}: {line.problem}")
        if line.request is not None:
            rows += _cut(f"{what} {index + 1}", line.request)
    if not rows:
        raise InvalidRequest(f"{path} has no requests")
    return rows


def make_rows(inputs: Sequence[MetadataTensor]) -> list[Row]:
    """Rows at random, always the same ones, that fit what a model declares."""
    chance = random.Random(0)  # noqa: S311  # nothing secret
    return [
        Row(
            f"made-up row {number + 1}",
            InferenceRequest(inputs=[_make_input(tensor, chance) for tensor in inputs]),
        )
        for number in range(_MADE)
    ]


def spoil(row: Row) -> list[Row]:
    """Bad rows made of a good one: its first input a value too wide, and of another datatype."""
    first, *others = row.request.inputs
    width = math.prod(first.shape[1:]) + 1
    wide = _fill(first.name, first.datatype, [*first.shape[:1], width], random.Random(0))  # noqa: S311
    datatype = Datatype.INT64 if first.datatype is Datatype.BYTES else Datatype.BYTES
    other = _fill(first.name, datatype, first.shape, random.Random(0))  # noqa: S311
    return [
        Row(f"poison ({what})", attrs.evolve(row.request, inputs=[tensor, *others]))
        for what, tensor in (("too wide", wide), ("other datatype", other))
    ]


def _cut(name: str, request: InferenceRequest) -> list[Row]:
    part = to_part(request)
    if part is None or part.rows == 1:
        return [Row(name, request)]
    return [
        Row(f"{name}, row {row + 1}", attrs.evolve(request, id=None, inputs=_row_of(part, row)))
        for row in range(part.rows)
    ]


def _row_of(part: Part, row: int) -> list[RequestInput]:
    inputs = []
    for tensor, values in zip(part.request.inputs, part.values, strict=True):
        width = len(values) // part.rows  # 1 where the array is in its shape
        data = TensorData(values[row * width : (row + 1) * width])
        inputs.append(attrs.evolve(tensor, shape=[1, *tensor.shape[1:]], data=data))
    return inputs


def _make_input(tensor: MetadataTensor, chance: random.Random) -> RequestInput:
    shape = [_OPEN if size < 0 else size for size in tensor.shape]
    return _fill(tensor.name, tensor.datatype, shape, chance)


def _fill(
    name: str, datatype: Datatype, shape: Sequence[int], chance: random.Random
) -> RequestInput:
    """A tensor of values at random."""
    count = math.prod(shape)
    data: list[str] | np.ndarray
    if datatype is Datatype.BYTES:
        data = [f"text {chance.randrange(1000)}" for _ in range(count)]
    elif datatype in FLOATS:
        data = np.array([chance.gauss(0, 1) for _ in range(count)]).astype(to_dtype(datatype))
    else:
        largest = 1 if datatype is Datatype.BOOL else 9
        data = np.array([chance.randint(0, largest) for _ in range(count)], to_dtype(datatype))
    return RequestInput(name=name, shape=list(shape), datatype=datatype, data=data)
