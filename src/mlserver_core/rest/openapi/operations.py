"""What each route is for: one row per route, which the documents and a test look up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataServerResponse,
    RepositoryIndexRequest,
    RepositoryIndexResponseItem,
)

JSON, HTML, EVENTS = "application/json", "text/html", "text/event-stream"


@attrs.frozen(kw_only=True)
class StreamEvent:
    """One server-sent event of a stream.

    Attributes:
        data: an inference response as JSON, or an object with the ``error``.
        event: ``error`` for an error, which ends the stream.
    """

    data: str
    event: str | None = None


@attrs.frozen(kw_only=True)
class ServerLive:
    """The process answers."""

    live: bool


@attrs.frozen(kw_only=True)
class ServerReady:
    """Can the server answer for every model it is meant to serve?"""

    ready: bool


@attrs.frozen(kw_only=True)
class ModelReady:
    """Can the model answer?"""

    name: str
    ready: bool


@attrs.frozen(kw_only=True)
class Operation:
    """One call, as a document describes it.

    Attributes:
        id: its ``operationId``; the calls for one version of a model get a suffix.
        tag: the group it is shown in, one of ``TAGS``.
        summary: what it is for, in one line.
        body: the type of the request's body; None where there is none to send.
        body_required: may the body not be left out?
        answer: the type of a good answer's body; None where it is empty.
        media: the content type of that answer.
        errors: the statuses of the errors that a caller has to expect.
        refusal: the type of a 400 that is no error object.
    """

    id: str
    tag: str
    summary: str
    body: Any = None
    body_required: bool = True
    answer: Any = None
    media: str = JSON
    errors: tuple[int, ...] = ()
    refusal: Any = None


TAGS: Mapping[str, str] = {
    "inference": "Ask a model.",
    "models": "What a model is, and whether it can answer.",
    "server": "What the server is, and whether it can answer.",
    "repository": "Which models there are; load and unload them.",
    "custom": "Calls that models bring along.",
    "documentation": "These pages.",
}

_MODEL = "/v2/models/{model_name}"
_REPOSITORY = "/v2/repository/models/{model_name}"
_INFERENCE_ERRORS = (400, 404, 413, 429, 500, 503, 504)


def _infer(id: str, summary: str, *, stream: bool = False) -> Operation:
    return Operation(
        id=id,
        tag="inference",
        summary=summary,
        body=InferenceRequest,
        answer=StreamEvent if stream else InferenceResponse,
        media=EVENTS if stream else JSON,
        errors=_INFERENCE_ERRORS,
    )


def _page(id: str, summary: str, media: str, errors: tuple[int, ...] = ()) -> Operation:
    answer = str if media == HTML else dict
    return Operation(
        id=id, tag="documentation", summary=summary, answer=answer, media=media, errors=errors
    )


#: By method and path; a row for ``/v2/models/{model_name}...`` is also that of one version.
OPERATIONS: Mapping[str, Operation] = {
    f"POST {_MODEL}/infer": _infer("model_infer", "Inference"),
    f"POST {_MODEL}/infer_stream": _infer(
        "model_infer_stream", "Inference with a stream of answers", stream=True
    ),
    f"POST {_MODEL}/generate": _infer("model_generate", "Another name of infer"),
    f"POST {_MODEL}/generate_stream": _infer(
        "model_generate_stream", "Another name of infer_stream", stream=True
    ),
    f"GET {_MODEL}": Operation(
        id="model_metadata",
        tag="models",
        summary="Versions and tensors of a model",
        answer=MetadataModelResponse,
        errors=(400, 404),
    ),
    f"GET {_MODEL}/ready": Operation(
        id="model_ready",
        tag="models",
        summary="Can the model answer?",
        answer=ModelReady,
        errors=(404,),
        refusal=ModelReady,
    ),
    "GET /v2": Operation(
        id="server_metadata",
        tag="server",
        summary="Name, version and extensions of the server",
        answer=MetadataServerResponse,
    ),
    "GET /v2/health/live": Operation(
        id="server_live", tag="server", summary="Does the process answer?", answer=ServerLive
    ),
    "GET /v2/health/ready": Operation(
        id="server_ready",
        tag="server",
        summary="Can every model that should serve answer?",
        answer=ServerReady,
        refusal=ServerReady,
    ),
    "POST /v2/repository/index": Operation(
        id="repository_index",
        tag="repository",
        summary="The models and their states",
        body=RepositoryIndexRequest,
        body_required=False,
        answer=list[RepositoryIndexResponseItem],
        errors=(400, 403),
    ),
    f"POST {_REPOSITORY}/load": Operation(
        id="repository_model_load",
        tag="repository",
        summary="Load a model, or load it anew",
        errors=(400, 403, 404, 501),
    ),
    f"POST {_REPOSITORY}/unload": Operation(
        id="repository_model_unload",
        tag="repository",
        summary="Unload a model",
        errors=(400, 403, 404, 501),
    ),
    "GET /v2/docs": _page("server_docs", "The documentation of all calls", HTML),
    "GET /v2/docs/dataplane.json": _page(
        "server_document", "The same as an OpenAPI document", JSON
    ),
    "GET /openapi.json": _page("openapi", "That document, where tools look for it", JSON),
    f"GET {_MODEL}/docs": _page(
        "model_docs", "The documentation of a model's calls", HTML, (400, 404)
    ),
    f"GET {_MODEL}/docs/dataplane.json": _page(
        "model_document", "The same as an OpenAPI document", JSON, (400, 404)
    ),
}

#: Routes that are no calls: what the pages load.
UNLISTED = frozenset({"GET /v2/docs/static/{file}"})

ERRORS: Mapping[int, str] = {
    400: "The request does not fit, or the model is not ready.",
    403: "The operator does not allow this call.",
    404: "There is no such model or version.",
    413: "The body is larger than `max_body_size`.",
    429: "Too much is queued; try again after `Retry-After` seconds.",
    500: "The model failed.",
    501: "This is not offered.",
    503: "The server is stopping, or nothing can serve right now.",
    504: "The answer would have come too late.",
}


def find_operation(method: str, path: str) -> Operation | None:
    """The row of a route; None for one that nobody described."""
    found = OPERATIONS.get(f"{method} {path.replace('/versions/{model_version}', '')}")
    if found is None or "{model_version}" not in path:
        return found
    return attrs.evolve(
        found,
        id=found.id.replace("model_", "model_version_", 1),
        summary=f"{found.summary} (one version)",
    )
