"""What a middleware is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext

#: Answers a request; what a middleware wraps, and what it returns.
Infer = Callable[[InferenceRequest, RequestContext], Awaitable[InferenceResponse]]

#: Answers a stream of requests.
InferStream = Callable[
    [AsyncIterator[InferenceRequest], RequestContext], AsyncGenerator[InferenceResponse, None]
]

#: Makes an ``Infer`` of the one below it. One that also has a method ``stream``, which makes an
#: ``InferStream`` of the one below it, stands around streams too. A method ``close`` is called
#: when its model takes no more requests, while it may still finish some.
Middleware = Callable[[Infer], Infer]

#: Makes the middleware of one model. Called at load, never while serving.
MiddlewareFactory = Callable[[ModelSettings], Middleware]
