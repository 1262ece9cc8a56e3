"""What a model's own metadata says of its requests: narrower schemas, and an example."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlserver_core.rest.openapi.schemas import Schema
from mlserver_core.types import Datatype, MetadataModelResponse, MetadataTensor, Parameters
from mlserver_core.types.datatypes import FLOATS

#: An example with more elements than this would be no help to a reader, and slow to show.
_MOST_ELEMENTS = 1000
#: Strings that codecs other than ``str`` can read.
_TEXTS = {"base64": "dGV4dA==", "datetime": "2024-01-31T12:00:00"}
_SOME_INPUT = MetadataTensor(name="x", datatype=Datatype.FP32, shape=[1, 4])


def narrow(components: Mapping[str, Schema], model: MetadataModelResponse) -> dict[str, Schema]:
    """The components with the names, datatypes and shapes of this model's tensors.

    What the model does not declare stays as open as it is.
    """
    narrowed = dict(components)
    if model.inputs:
        narrowed["RequestInput"] = _any_of(components["RequestInput"], model.inputs)
    if model.outputs:
        narrowed["ResponseOutput"] = _any_of(components["ResponseOutput"], model.outputs)
        names = {"type": "string", "enum": [tensor.name for tensor in model.outputs]}
        narrowed["RequestOutput"] = _replace(components["RequestOutput"], name=names)
    return narrowed


def make_example(inputs: Sequence[MetadataTensor] | None) -> Schema | None:
    """A request that fits the inputs, each variable dimension being 1.

    Returns:
        The request; of some input where none is declared; None where it would be too long.
    """
    tensors = [_make_tensor(tensor) for tensor in inputs or [_SOME_INPUT]]
    return None if None in tensors else {"inputs": tensors}


def _any_of(schema: Schema, tensors: Sequence[MetadataTensor]) -> Schema:
    narrowed = [
        {"title": tensor.name}
        | _replace(
            schema,
            name={"type": "string", "enum": [tensor.name]},
            datatype={"type": "string", "enum": [tensor.datatype.value]},
            shape=_shape(tensor.shape),
            data=_data(tensor, schema["properties"]["data"]),
        )
        for tensor in tensors
    ]
    return narrowed[0] if len(narrowed) == 1 else {"anyOf": narrowed}


def _data(tensor: MetadataTensor, schema: Schema) -> Schema:
    if tensor.datatype is Datatype.BYTES:
        return schema
    if tensor.datatype in FLOATS:
        kinds = ["number", "null"]
    else:
        kinds = ["boolean", "integer"] if tensor.datatype is Datatype.BOOL else ["integer"]
    return {
        "type": "array",
        "description": f"{tensor.datatype} elements, flat, or nested as the shape says.",
        "items": {"type": [*kinds, "array"]},
    }


def _replace(schema: Schema, **properties: Schema) -> Schema:
    return {**schema, "properties": {**schema["properties"], **properties}}


def _shape(shape: Sequence[int]) -> Schema:
    return {
        "type": "array",
        "description": f"{list(shape)}" + (" (-1: of any size)" if -1 in shape else ""),
        "prefixItems": [
            {"type": "integer", "minimum": 0} if size < 0 else {"type": "integer", "enum": [size]}
            for size in shape
        ],
        "minItems": len(shape),
        "maxItems": len(shape),
        "examples": [_smallest(shape)],
    }


def _smallest(shape: Sequence[int]) -> list[int]:
    return [1 if size < 0 else size for size in shape]


def _make_tensor(tensor: MetadataTensor) -> Schema | None:
    shape = _smallest(tensor.shape)
    count = math.prod(shape)
    if count > _MOST_ELEMENTS:
        return None
    element = _element(tensor.datatype, tensor.parameters)
    return {
        "name": tensor.name,
        "shape": shape,
        "datatype": tensor.datatype.value,
        "data": [element] * count,
    }


def _element(datatype: Datatype, parameters: Parameters | None) -> Any:
    if datatype is Datatype.BYTES:
        content_type = parameters.content_type if parameters else None
        return _TEXTS.get(content_type or "", "text")
    if datatype is Datatype.BOOL:
        return True
    return 1.0 if datatype in FLOATS else 1
