"""What a middleware is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext

#: Answers a request; what a middleware wraps, and what it returns.
Infer = Callable[[InferenceRequest, RequestContext], Awaitable[InferenceResponse]]

#: Makes an ``Infer`` of the one below it.
Middleware = Callable[[Infer], Infer]

#: Makes the middleware of one model. Called at load, never while serving.
MiddlewareFactory = Callable[[ModelSettings], Middleware]
