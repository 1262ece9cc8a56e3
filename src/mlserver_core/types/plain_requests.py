"""Inference requests out of plain data, where nothing about them is unusual.

The converter takes any class; for the one that every request is, this takes a third of the time.
Whatever it does not know is left to the converter, and so is every mistake.
"""

from __future__ import annotations

from typing import Any

from mlserver_core.types.datatypes import Datatype
from mlserver_core.types.inference import InferenceRequest, RequestInput
from mlserver_core.types.parameters import Parameters
from mlserver_core.types.tensor_data import TensorData

_INTEGERS = frozenset({int})
_DATATYPES = {datatype.value: datatype for datatype in Datatype}


def to_plain_request(value: Any) -> InferenceRequest | None:
    """The request in a JSON body's plain data; None where the converter has to look at it."""
    if type(value) is not dict or value.get("outputs") is not None:
        return None
    id, tensors = value.get("id"), value.get("inputs")
    if type(tensors) is not list or not (id is None or type(id) is str):
        return None
    parameters = value.get("parameters")
    if parameters is not None:
        parameters = _to_parameters(parameters)
        if parameters is None:
            return None
    inputs = []
    for tensor in tensors:
        made = _to_input(tensor)
        if made is None:
            return None
        inputs.append(made)
    return InferenceRequest(id=id, parameters=parameters, inputs=inputs)


def _to_input(value: Any) -> RequestInput | None:
    if type(value) is not dict or "data" not in value:
        return None
    name, shape, kind = value.get("name"), value.get("shape"), value.get("datatype")
    datatype = _DATATYPES.get(kind) if type(kind) is str else None
    if datatype is None or type(name) is not str or type(shape) is not list:
        return None
    if not _INTEGERS.issuperset(map(type, shape)):
        return None
    parameters = value.get("parameters")
    if parameters is not None:
        parameters = _to_parameters(parameters)
        if parameters is None:
            return None
    return RequestInput(
        name=name,
        shape=shape,
        datatype=datatype,
        parameters=parameters,
        data=TensorData(value["data"]),
    )


def _to_parameters(value: Any) -> Parameters | None:
    if type(value) is not dict or "headers" in value or "model_extra" in value:
        return None
    content_type = value.get("content_type")
    if not (content_type is None or type(content_type) is str):
        return None
    made = Parameters(content_type=content_type)
    extra = made.model_extra
    extra.update(value)
    extra.pop("content_type", None)
    return made
