"""Metadata of the server and of models (Open Inference Protocol, "Metadata")."""

from __future__ import annotations

from typing import Any

import attrs

from mlserver_core.types.datatypes import Datatype
from mlserver_core.types.dumping import Dumpable
from mlserver_core.types.lists import make_all, to_list
from mlserver_core.types.parameters import Parameters, to_parameters


@attrs.define(kw_only=True)
class MetadataServerResponse(Dumpable):
    """Name, version and protocol extensions of the server."""

    name: str
    version: str
    extensions: list[str]


@attrs.define(kw_only=True)
class MetadataServerErrorResponse(Dumpable):
    """The error object of a server metadata call."""

    error: str


@attrs.define(kw_only=True)
class MetadataTensor(Dumpable):
    """A tensor that a model takes or gives; -1 in the shape is a dimension of any size."""

    name: str
    datatype: Datatype = attrs.field(converter=Datatype)
    shape: list[int] = attrs.field(converter=to_list)
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)


def _to_tensors(values: Any) -> list[MetadataTensor] | None:
    made: list[MetadataTensor] | None = None if values is None else make_all(MetadataTensor, values)
    return made


@attrs.define(kw_only=True)
class MetadataModelResponse(Dumpable):
    """Versions and tensors of a model."""

    name: str
    versions: list[str] | None = None
    platform: str
    inputs: list[MetadataTensor] | None = attrs.field(default=None, converter=_to_tensors)
    outputs: list[MetadataTensor] | None = attrs.field(default=None, converter=_to_tensors)
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)


@attrs.define(kw_only=True)
class MetadataModelErrorResponse(Dumpable):
    """The error object of a model metadata call."""

    error: str


@attrs.define(kw_only=True)
class InferenceErrorResponse(Dumpable):
    """The error object of an inference call."""

    error: str | None = None
