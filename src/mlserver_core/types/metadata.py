"""Metadata of the server and of models (Open Inference Protocol, "Metadata")."""

from __future__ import annotations

import attrs

from mlserver_core.types.datatypes import Datatype
from mlserver_core.types.dumping import Dumpable
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
    shape: list[int]
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)


@attrs.define(kw_only=True)
class MetadataModelResponse(Dumpable):
    """Versions and tensors of a model."""

    name: str
    versions: list[str] | None = None
    platform: str
    inputs: list[MetadataTensor] | None = None
    outputs: list[MetadataTensor] | None = None
    parameters: Parameters | None = attrs.field(default=None, converter=to_parameters)


@attrs.define(kw_only=True)
class MetadataModelErrorResponse(Dumpable):
    """The error object of a model metadata call."""

    error: str


@attrs.define(kw_only=True)
class InferenceErrorResponse(Dumpable):
    """The error object of an inference call."""

    error: str | None = None
