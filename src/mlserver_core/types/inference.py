"""Inference requests and responses (Open Inference Protocol, "Inference")."""

from __future__ import annotations

from typing import Any

import attrs

from mlserver_core.types.datatypes import Datatype, to_member
from mlserver_core.types.dumping import Dumpable
from mlserver_core.types.lists import make_all, to_list
from mlserver_core.types.parameters import Parameters, to_parameters
from mlserver_core.types.tensor_data import TensorData


def _convert(_: Any, field: attrs.Attribute[Any], value: Any) -> Any:
    """As a constructor does, when a field is set; attrs has the same, for microseconds more."""
    convert: Any = field.converter
    return value if convert is None else convert(value)


def _to_data(value: Any) -> TensorData:
    return value if isinstance(value, TensorData) else TensorData(value)


def _to_inputs(values: Any) -> list[RequestInput]:
    made: list[RequestInput] = make_all(RequestInput, values)
    return made


def _to_requested(values: Any) -> list[RequestOutput] | None:
    made: list[RequestOutput] | None = None if values is None else make_all(RequestOutput, values)
    return made


def _to_outputs(values: Any) -> list[ResponseOutput]:
    made: list[ResponseOutput] = make_all(ResponseOutput, values)
    return made


@attrs.define(kw_only=True, on_setattr=_convert)
class RequestInput(Dumpable):
    """One input tensor.

    Attributes:
        name: its name, which the model knows it by.
        shape: the size of each dimension, none negative.
        datatype: the type of its elements.
        parameters: such as ``content_type``.
        data: its elements, row-major; flat, or nested as the shape says.
    """

    name: str
    shape: list[int] = attrs.field(converter=to_list)
    datatype: Datatype = attrs.field(converter=to_member)
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)
    data: TensorData = attrs.field(converter=_to_data)


@attrs.define(kw_only=True, on_setattr=_convert)
class RequestOutput(Dumpable):
    """One output the caller asks for."""

    name: str
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)


@attrs.define(kw_only=True, on_setattr=_convert)
class ResponseOutput(Dumpable):
    """One output tensor; the attributes are those of ``RequestInput``."""

    name: str
    shape: list[int] = attrs.field(converter=to_list)
    datatype: Datatype = attrs.field(converter=to_member)
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)
    data: TensorData = attrs.field(converter=_to_data)


@attrs.define(kw_only=True, on_setattr=_convert)
class InferenceRequest(Dumpable):
    """What a client asks of a model.

    Attributes:
        id: names the request in the answer and in logs; the server makes one when absent.
        parameters: of the whole request; ``parameters.headers`` has the HTTP headers or gRPC
            metadata, put there by the server.
        inputs: the input tensors.
        outputs: the outputs wanted; ``None`` or empty means all.
    """

    id: str | None = None
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)
    inputs: list[RequestInput] = attrs.field(converter=_to_inputs)
    outputs: list[RequestOutput] | None = attrs.field(default=None, converter=_to_requested)


@attrs.define(kw_only=True, on_setattr=_convert)
class InferenceResponse(Dumpable):
    """What a model answers.

    Attributes:
        model_name: filled in by the server when the runtime leaves it out.
        model_version: the version that served, absent for an unversioned model.
        id: the request's; the server overwrites it.
        parameters: of the whole response; ``parameters.headers`` goes out as HTTP headers or
            gRPC trailing metadata.
        outputs: the output tensors.
    """

    model_name: str = ""
    model_version: str | None = None
    id: str | None = None
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)
    outputs: list[ResponseOutput] = attrs.field(converter=_to_outputs)
