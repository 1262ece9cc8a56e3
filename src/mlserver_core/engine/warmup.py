"""The requests that a model answers before it is ready, so that no client waits for its first."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import attrs
import numpy as np
import orjson

from mlserver_core.engine.admission import admit
from mlserver_core.engine.failures import Failures
from mlserver_core.engine.pipeline import Surroundings, compose, compose_stream
from mlserver_core.errors import InvalidRequest, MLServerError, ModelLoadError
from mlserver_core.executors.interfaces import ModelDescription
from mlserver_core.settings import ModelSettings
from mlserver_core.types import Datatype, InferenceRequest, MetadataTensor, RequestInput
from mlserver_core.types.context import RequestContext
from mlserver_core.types.datatypes import to_dtype

logger = logging.getLogger("mlserver")

#: What a request that was made from the declared inputs is called in messages.
_MADE = "the request made from the declared inputs"


async def warm_up(parts: Surroundings, description: ModelDescription) -> None:
    """Runs each request that ``warmup`` names once, one after the other, and drops the answers.

    Each is checked as one of a client is, and goes straight to the model: no middleware sees it,
    and no request metric counts it. A model that only has ``predict_stream`` gets it as a stream.

    Args:
        parts: of the model, whose ``load`` has succeeded.
        description: what it can do.

    Raises:
        ModelLoadError: names the file, and why there was no answer.
    """
    settings = parts.settings
    # The operator reads what went wrong, whatever a client may see of it.
    parts = attrs.evolve(parts, failures=Failures(settings, detail=True), slots=0)
    for name, request in _read_requests(settings):
        context = RequestContext(transport="warmup", request_id=name)
        logger.info("Warming up model %s with %s", settings.name, name)
        try:
            admit(request, settings, context)
            if description.streams and not description.predicts:
                await _exhaust(parts, request, context)
            else:
                await compose(parts, ())(request, context)
        except MLServerError as error:
            raise _failed(settings, name, str(error)) from None  # it is in the log already


async def _exhaust(parts: Surroundings, request: InferenceRequest, context: RequestContext) -> None:
    async def one() -> AsyncIterator[InferenceRequest]:
        yield request

    async with aclosing(compose_stream(parts, ())(one(), context)) as responses:
        async for _ in responses:
            pass


def _read_requests(settings: ModelSettings) -> Iterator[tuple[str, InferenceRequest]]:
    """Each request with what it is called in messages; a file is read when its turn comes."""
    if settings.warmup is True:
        yield _MADE, make_request(settings)
    for name in settings.warmup if isinstance(settings.warmup, list) else ():
        try:
            plain = orjson.loads(_find(settings, name).read_bytes())
            yield name, InferenceRequest.model_validate(plain)
        except OSError as error:
            raise _failed(settings, name, f"cannot be read: {error.strerror}") from None
        except orjson.JSONDecodeError as error:
            raise _failed(settings, name, f"is not valid JSON: {error}") from None
        except InvalidRequest as error:
            raise _failed(settings, name, str(error)) from None


def make_request(settings: ModelSettings) -> InferenceRequest:
    """A request with every input that a model declares: a free dimension has the size 1, numbers
    are 0, and elements of BYTES are empty.

    Raises:
        ModelLoadError: it declares none.
    """
    if not settings.inputs:
        raise ModelLoadError(
            settings.name,
            'warmup is true, but the model declares no inputs: add "inputs" to its '
            "model-settings.json, or list files with requests in warmup",
        )
    return InferenceRequest(inputs=[_zeros(declared) for declared in settings.inputs])


def _zeros(declared: MetadataTensor) -> RequestInput:
    shape = [max(size, 1) if size < 0 else size for size in declared.shape]
    data = np.zeros(shape, to_dtype(declared.datatype))
    return RequestInput(
        name=declared.name,
        shape=shape,
        datatype=declared.datatype,
        data=[""] * data.size if declared.datatype is Datatype.BYTES else data,
    )


def _find(settings: ModelSettings, name: str) -> Path:
    if settings.folder is None:
        raise _failed(settings, name, "there is no folder, since the model was made in code")
    # Links inside the folder are as good as files; one that leads to itself is the reader's.
    folder = Path(os.path.realpath(settings.folder))
    path = Path(os.path.realpath(folder / name))
    if not path.is_relative_to(folder):
        raise _failed(settings, name, "is outside of the model's folder; copy it there")
    return path


def _failed(settings: ModelSettings, name: str, why: str) -> ModelLoadError:
    return ModelLoadError(settings.name, f"warmup: {name}: {why}")
