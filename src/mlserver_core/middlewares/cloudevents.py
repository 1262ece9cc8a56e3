"""CloudEvents headers (CloudEvents 0.3, "HTTP Protocol Binding") in requests and answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import OrderedRegistry
from mlserver_core.middlewares.interfaces import Infer, InferStream, MiddlewareFactory
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters
from mlserver_core.types.context import RequestContext

#: Characters; clients refuse header lines of some thousands.
_LONGEST_ID = 1024
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@hookimpl
def mlserver_register_middlewares(
    registry: OrderedRegistry[MiddlewareFactory], settings: Settings
) -> None:
    """Unless ``cloud_events`` is false."""
    if settings.cloud_events:
        namespace = read_namespace(_NAMESPACE)
        registry.add("cloudevents", lambda model: cloud_events(settings, model, namespace))


def read_namespace(path: Path) -> str:
    """The Kubernetes namespace this server runs in; empty elsewhere."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def cloud_events(settings: Settings, model: ModelSettings, namespace: str = "") -> CloudEvents:
    """Makes the middleware; what never changes is put together once."""
    source = f"io.seldon.serving.deployment.{settings.server_name}"
    always: dict[str, Any] = {
        "Ce-Specversion": "0.3",
        "Ce-Source": f"{source}.{namespace}" if namespace else source,
        "Ce-Modelid": model.name,
        "Ce-Inferenceservicename": settings.server_name,
        "Ce-Endpoint": model.name,
    }
    if namespace:
        always["Ce-Namespace"] = namespace
    return CloudEvents(
        for_requests=always | {"Ce-Type": "io.seldon.serving.inference.request"},
        for_responses=always | {"Ce-Type": "io.seldon.serving.inference.response"},
    )


@attrs.frozen(kw_only=True)
class CloudEvents:
    """Adds the headers to the requests and responses of one model.

    Attributes:
        for_requests: the headers of every request, but for its id.
        for_responses: the same of every response.
    """

    for_requests: Mapping[str, Any]
    for_responses: Mapping[str, Any]

    def __call__(self, infer: Infer) -> Infer:
        """Around a single request."""

        async def infer_with_events(
            request: InferenceRequest, context: RequestContext
        ) -> InferenceResponse:
            _add(request, self.for_requests, request.id)
            response = await infer(request, context)
            _add(response, self.for_responses, _as_header(response.id))
            return response

        return infer_with_events

    def stream(self, infer_stream: InferStream) -> InferStream:
        """Around each request and each response of a stream."""

        async def requests_with_events(
            requests: AsyncIterator[InferenceRequest],
        ) -> AsyncIterator[InferenceRequest]:
            async for request in requests:
                _add(request, self.for_requests, request.id)
                yield request

        async def stream_with_events(
            requests: AsyncIterator[InferenceRequest], context: RequestContext
        ) -> AsyncGenerator[InferenceResponse, None]:
            async with aclosing(infer_stream(requests_with_events(requests), context)) as responses:
                async for response in responses:
                    _add(response, self.for_responses, _as_header(response.id))
                    yield response

        return stream_with_events


def _add(
    message: InferenceRequest | InferenceResponse, events: Mapping[str, Any], id: str | None
) -> None:
    if message.parameters is None:
        message.parameters = Parameters()
    headers = dict(events)
    headers["Ce-Id"] = headers["Ce-Requestid"] = id
    if message.parameters.headers:
        headers.update(message.parameters.headers)
    message.parameters.headers = headers


def _as_header(id: str | None) -> str | None:
    """An id as a header carries it: without control characters, and not too long for clients."""
    if id is None or (len(id) <= _LONGEST_ID and id.isascii() and id.isprintable()):
        return id
    return quote(id[:_LONGEST_ID], _PRINTABLE, errors="replace")[:_LONGEST_ID]
