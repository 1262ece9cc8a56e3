"""CloudEvents headers (CloudEvents 0.3, "HTTP Protocol Binding") in requests and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import OrderedRegistry
from mlserver_core.middlewares.interfaces import Infer, Middleware, MiddlewareFactory
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters
from mlserver_core.types.context import RequestContext

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


def cloud_events(settings: Settings, model: ModelSettings, namespace: str = "") -> Middleware:
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
    for_requests = always | {"Ce-Type": "io.seldon.serving.inference.request"}
    for_responses = always | {"Ce-Type": "io.seldon.serving.inference.response"}

    def wrap(infer: Infer) -> Infer:
        async def infer_with_events(
            request: InferenceRequest, context: RequestContext
        ) -> InferenceResponse:
            _add(request, for_requests, request.id)
            response = await infer(request, context)
            _add(response, for_responses, response.id)
            return response

        return infer_with_events

    return wrap


def _add(
    message: InferenceRequest | InferenceResponse, events: dict[str, Any], id: str | None
) -> None:
    if message.parameters is None:
        message.parameters = Parameters()
    ours = {**events, "Ce-Id": id, "Ce-Requestid": id}
    message.parameters.headers = {**ours, **(message.parameters.headers or {})}
