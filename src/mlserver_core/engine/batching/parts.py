"""When may requests be merged? What each of them brings, and what they have to agree in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Datatype, InferenceRequest, Parameters, RequestInput, ResponseOutput
from mlserver_core.types.tensors import count_elements, to_elements

#: What a parameter may be made of besides lists and objects; JSON and gRPC have no more.
_SCALARS = (bool, int, str, bytes, type(None))
_NULL = frozenset({type(None)})
_EMPTY = ("object", frozenset[Any]())
#: Levels of lists and objects in a parameter that is compared with others.
_DEEPEST = 64


@attrs.frozen(eq=False)
class Part:
    """A request that can be merged with those of an equal key.

    Attributes:
        request: the request.
        key: what it has to have in common with others: names, order, datatypes, trailing shapes
            and parameters of its inputs, and whether BYTES are text or bytes; its own parameters
            but for the headers, and the outputs it asks for with their parameters.
        rows: the first dimension of each of its inputs, at least 1.
        values: per input its elements: an array, flat or in its shape, or for BYTES a flat list.
    """

    request: InferenceRequest
    key: Any
    rows: int
    values: tuple[Any, ...]


def to_part(request: InferenceRequest) -> Part | None:
    """The request as one to merge; None where it can only be asked as it is.

    That is one with inputs that have no common first dimension of at least 1, with data that
    is not exactly what its shape says, or with parameters that cannot be compared.
    """
    rows = count_rows(request)
    if not rows:
        return None
    try:
        values = tuple(elements_of(tensor) for tensor in request.inputs)
        key = _key_of(request, values)
    except (InvalidRequest, TypeError):
        return None
    return Part(request, key, rows, values)


def count_rows(request: InferenceRequest) -> int | None:
    """The first dimension that all inputs of a request have; None where they have none in
    common.
    """
    rows = {tensor.shape[0] if tensor.shape else -1 for tensor in request.inputs}
    found = rows.pop() if len(rows) == 1 else -1
    return found if found >= 0 else None


def elements_of(tensor: RequestInput | ResponseOutput) -> Any:
    """The elements of a tensor: an array, flat or in its shape; for BYTES a flat list.

    Raises:
        InvalidRequest: they are not exactly as many as the shape says, or of another datatype.
    """
    values = to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
    if tensor.datatype is not Datatype.BYTES:
        return values if values.shape == tuple(tensor.shape) else values.reshape(-1)
    count = count_elements(tensor.name, tensor.shape)
    if len(values) != count:  # one text may stand for all; there is no telling which rows'
        raise InvalidRequest(
            f"tensor {tensor.name!r}: shape {tensor.shape} expects {count} elements, "
            f"got {len(values)}"
        )
    return values


def _key_of(request: InferenceRequest, values: Sequence[Any]) -> Any:
    inputs = tuple(
        [  # a list, since a generator costs more
            (
                each.name,
                each.datatype.value,
                tuple(each.shape[1:]),
                frozenset(map(type, elements)) - _NULL if each.datatype is Datatype.BYTES else None,
                _canonical_all(each.parameters),
            )
            for each, elements in zip(request.inputs, values, strict=True)
        ]
    )
    outputs = request.outputs and tuple(
        (each.name, _canonical_all(each.parameters)) for each in request.outputs
    )
    return inputs, _canonical_all(request.parameters, but="headers"), outputs or None


def _canonical_all(parameters: Parameters | None, but: str = "") -> Any:
    if parameters is None:
        return None
    plain = parameters.to_plain()
    plain.pop(but, None)
    return _canonical(plain) if plain else _EMPTY


def _canonical(value: Any, levels: int = _DEEPEST) -> Any:
    """Something hashable that is equal for equal values of one type only: 1 is not true here.

    Raises:
        TypeError: for what is neither JSON nor bytes, or nested in more than ``levels``.
    """
    if isinstance(value, float):
        # By its sign too, and NaN is as good as NaN.
        return "float", None if math.isnan(value) else value, math.copysign(1, value)
    if isinstance(value, _SCALARS):
        return type(value).__name__, value
    if levels == 0:
        raise TypeError("a parameter is nested too deeply")
    if isinstance(value, Mapping):
        return "object", frozenset(
            (name, _canonical(each, levels - 1)) for name, each in value.items()
        )
    if isinstance(value, (list, tuple)):
        return "list", tuple(_canonical(each, levels - 1) for each in value)
    raise TypeError(f"a parameter is a {type(value).__name__}")
