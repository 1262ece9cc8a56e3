"""A model's settings: ``model-settings.json`` and ``MLSERVER_MODEL_*`` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from mlserver_core.settings.fields import (
    MOST_WORKERS,
    Effect,
    above,
    at_least,
    setting,
    url_segment,
    within,
    without_nul,
)
from mlserver_core.types import MetadataTensor
from mlserver_core.types.converter import structure
from mlserver_core.types.open_names import OpenNames

NONE = Effect.NONE


# Setting an attribute is the business of OpenNames, which attrs' own checks would replace.
@attrs.define(init=False, repr=False, on_setattr=attrs.setters.NO_OP)
class ModelParameters(OpenNames):
    """Where the artifact is and what the runtime needs; takes any other name as well.

    Attributes:
        model_extra: every value whose name is no field, by name.
    """

    uri: str | None = setting(
        "The artifact: a file, a folder or a URI.", default=None, validator=without_nul
    )
    version: str | None = setting("The version served.", default=None, validator=url_segment)
    content_type: str | None = setting("Codec of requests that name none.", default=None)
    format: str | None = setting("Format of the artifact, where it is not plain.", default=None)
    extra: dict[str, Any] = setting("Settings of the runtime.", factory=dict)
    environment_path: str | None = setting(
        "Folder of the Python environment that the model's workers run; see "
        "[its page](environments.md).",
        default=None,
        validator=without_nul,
    )
    environment_tarball: str | None = setting(
        "Archive of such an environment, packed with conda-pack or venv-pack.",
        default=None,
        validator=without_nul,
    )
    inference_pool_gid: str | None = setting(
        "Name of the pool of workers that the model shares with others of that name.", default=None
    )
    autogenerate_inference_pool_gid: bool = setting(
        "A pool of workers of its own, where no name of one is given.", default=False
    )
    model_extra: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ArtifactPolicy:
    """What the operator lets a runtime load; never read from beside the artifact.

    Attributes:
        allow_pickle: may files that run code be loaded?
        trusted_types: full type names that safe formats may build.
    """

    allow_pickle: bool = True
    trusted_types: tuple[str, ...] = ()


def _to_model_parameters(value: Any) -> ModelParameters | None:
    if value is None or isinstance(value, ModelParameters):
        return value
    return structure(value, ModelParameters)


def _to_tensors(values: Any) -> list[MetadataTensor]:
    return [
        value if isinstance(value, MetadataTensor) else MetadataTensor(**value) for value in values
    ]


@attrs.define(kw_only=True)
class ModelSettings:
    """Settings of one model, with MLServer's names; ``docs/model-settings.md`` lists them.

    Attributes:
        source: the ``model-settings.json`` this came from; None when made in code.
        policy: the operator's rules for artifacts, filled in by the server.
    """

    implementation: Any = setting(
        "Runtime: a registered name (sklearn), or the dotted path of an MLModel subclass."
    )
    name: str = setting(
        "Name in URLs; the folder's name when absent.", default="", validator=url_segment
    )
    platform: str = setting("Shown in metadata.", default="")
    versions: list[str] = setting("Shown in metadata.", factory=list)
    inputs: list[MetadataTensor] = setting("Input tensors.", factory=list, converter=_to_tensors)
    outputs: list[MetadataTensor] = setting("Output tensors.", factory=list, converter=_to_tensors)
    parameters: ModelParameters | None = setting(
        "Artifact and runtime parameters.", default=None, converter=_to_model_parameters
    )
    strict_inputs: bool = setting(
        "Refuse requests whose inputs disagree with the declared ones.", default=False
    )
    allow_pickle: bool | None = setting("false refuses pickle for this model.", default=None)
    executor: str | None = setting(
        "Where predict runs in its process: inline or threads; by default async def runs inline "
        "and def in a thread. processes does as the default, and refuses to without workers. "
        "Plugins may bring others.",
        default=None,
    )
    predict_threads: int = setting(
        "Threads a plain def predict runs in.", default=1, validator=at_least(1)
    )
    max_queue_size: int | None = setting(
        "Requests that may wait or run; unset means the server's.",
        default=None,
        validator=at_least(1),
    )
    request_timeout: float | None = setting(
        "Seconds that an answer may take; unset means the server's.",
        default=None,
        validator=above(0),
    )
    queue_timeout: float | None = setting(
        "Seconds that a request may wait; unset means the server's.",
        default=None,
        validator=above(0),
    )
    max_body_size: int | None = setting(
        "Largest REST body and largest gRPC message, in bytes, decompressed; unset means the "
        "server's.",
        default=None,
        validator=at_least(1),
    )
    parallel_workers: int | None = setting(
        "Worker processes of this model alone; 0 serves it in the server's own process.",
        default=None,
        validator=within(0, MOST_WORKERS),
    )
    warm_workers: bool = setting("Does nothing in MLServer either.", NONE, default=False)
    max_batch_size: int = setting(
        "Rows in a batch at most; more than 1, with max_batch_time, merges requests.",
        default=0,
        validator=at_least(0),
    )
    max_batch_time: float = setting(
        "Seconds a request may wait for others, if max_batch_size is set.",
        default=0.0,
        validator=at_least(0),
    )
    batch_when_idle: bool = setting(
        "Requests wait for others only while the model is busy.", default=True
    )
    warmup: bool | list[str] = setting(
        "Requests that it answers before it is ready: files in its folder, or true for one made "
        "from the inputs; see [its page](warmup.md).",
        default=False,
        validator=without_nul,
    )
    cache_enabled: bool = setting(
        "Keep its answers, if the server's cache_enabled is true too; see [its page](cache.md).",
        default=False,
    )
    idempotent: bool = setting(
        "false: a request whose worker was lost, or that was in a batch that failed, is never "
        "run twice.",
        default=True,
    )
    source: Path | None = attrs.field(default=None, eq=False)
    policy: ArtifactPolicy = attrs.field(factory=ArtifactPolicy, eq=False)

    @property
    def version(self) -> str | None:
        """The version served, ``parameters.version``; None for an unversioned model."""
        return self.parameters.version if self.parameters else None

    @property
    def has_environment(self) -> bool:
        """Are its dependencies in an environment of its own?"""
        given = self.parameters
        return given is not None and bool(given.environment_path or given.environment_tarball)

    @property
    def _source(self) -> str | None:
        """``source`` as text, under the name by which runtimes written for MLServer know it."""
        return str(self.source) if self.source else None

    @property
    def folder(self) -> Path | None:
        """The folder of the ``model-settings.json``; None when made in code."""
        return self.source.parent if self.source else None
