"""Puts together, once per load, the functions that answer for a model."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import attrs

from mlserver_core.engine.answers import seal
from mlserver_core.engine.batching.adaptive import batched
from mlserver_core.engine.batching.parts import count_rows
from mlserver_core.engine.failures import Failures
from mlserver_core.engine.model_context import ModelContext
from mlserver_core.executors.interfaces import Executor, HttpAnswer, HttpCall, RemoteExecutor
from mlserver_core.middlewares.interfaces import Infer, InferStream, Middleware
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext

logger = logging.getLogger("mlserver")

_END = object()


@attrs.frozen(kw_only=True)
class Surroundings:
    """What a model's functions need besides the model.

    Attributes:
        settings: of the model.
        executor: where the model lives.
        context: what its code finds around it.
        failures: what its exceptions become.
        slots: how many calls it can work on at once; 0 when its requests are not to be merged.
    """

    settings: ModelSettings
    executor: Executor
    context: ModelContext
    failures: Failures
    slots: int = 1


def compose(parts: Surroundings, middlewares: Sequence[Middleware]) -> Infer:
    """The function that answers one request: middlewares(batcher(executor(model))).

    Args:
        parts: of the model.
        middlewares: outermost first.
    """
    settings, executor, failures = parts.settings, parts.executor, parts.failures
    around = parts.context.around

    async def run(request: InferenceRequest, context: RequestContext) -> InferenceResponse:
        context.rows = count_rows(request)
        headers = request.parameters.headers if request.parameters else None
        try:
            with around(context):
                response = await executor.predict(request)
        except BaseException as error:
            made = failures.of(error, f"request {request.id}", context)
            if made is None:
                raise
            raise made from error
        sealed = seal(response, request.id, settings)
        if sealed.parameters is not None and sealed.parameters.headers is headers:
            sealed.parameters.headers = None  # parameters handed back are no headers to send
        return sealed

    infer: Infer = run
    if isinstance(executor, RemoteExecutor):
        alone = executor.must_be_alone
        infer = batched(run, settings, parts.context.metrics, parts.slots, alone)
    else:
        infer = batched(run, settings, parts.context.metrics, parts.slots)
    for middleware in reversed(middlewares):
        infer = middleware(infer)
    return infer


def close_middlewares(middlewares: Sequence[Middleware], settings: ModelSettings) -> None:
    """Tells those that have a ``close`` that their model takes no more requests; what one raises
    is logged.
    """
    for middleware in middlewares:
        close = getattr(middleware, "close", lambda: None)
        try:
            close()
        except Exception:  # of a plugin; the model leaves all the same
            logger.exception("A middleware of model %r failed to close", settings.name)


def compose_stream(parts: Surroundings, middlewares: Sequence[Middleware]) -> InferStream:
    """The function that answers a stream with the model's ``predict_stream``.

    Args:
        parts: of the model.
        middlewares: outermost first; those without a ``stream`` of their own are left out.
    """
    settings, executor, failures = parts.settings, parts.executor, parts.failures
    around = parts.context.around

    async def run(
        requests: AsyncIterator[InferenceRequest], context: RequestContext
    ) -> AsyncGenerator[InferenceResponse, None]:
        responses = executor.predict_stream(requests)
        try:
            while True:
                # Around each step, because a generator runs in the context of who asks it.
                work = f"the stream of request {context.request_id}"
                with failures.on(work, context), around(context):
                    response = await anext(responses, _END)
                if response is _END:
                    return
                yield seal(response, context.request_id, settings)
        finally:
            with around(context):
                await responses.aclose()

    infer_stream: InferStream = run
    for middleware in reversed(middlewares):
        wrap = getattr(middleware, "stream", None)
        infer_stream = wrap(infer_stream) if wrap else infer_stream
    return infer_stream


def stream_of(infer: Infer) -> InferStream:
    """Answers each request of a stream by itself, for models without a ``predict_stream``."""

    async def run(
        requests: AsyncIterator[InferenceRequest], context: RequestContext
    ) -> AsyncGenerator[InferenceResponse, None]:
        async for request in requests:
            response = await infer(request, context)
            context.start_by = None  # it was about the beginning of the stream
            yield response

    return run


def compose_exchange(
    executor: RemoteExecutor, parts: Surroundings
) -> Callable[..., AsyncGenerator[HttpAnswer | bytes, None]]:
    """The function that runs a custom handler of a model in another process: of its name, the
    HTTP request and the request context.
    """
    around = parts.context.around

    async def exchange(
        handler: str, call: HttpCall, context: RequestContext
    ) -> AsyncGenerator[HttpAnswer | bytes, None]:
        pieces = executor.exchange(handler, call)
        try:
            while True:
                with around(context):  # a generator runs in the context of who asks it
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield piece
        finally:
            with around(context):
                await pieces.aclose()

    return exchange


def compose_call(parts: Surroundings) -> Callable[..., Any]:
    """The function that runs a custom handler: of its name, arguments and request context, and
    of the exceptions that are to come out as they are.
    """
    executor, failures, around = parts.executor, parts.failures, parts.context.around

    async def call(
        method: str,
        arguments: Mapping[str, Any],
        context: RequestContext,
        passing: tuple[type[Exception], ...] = (),
    ) -> Any:
        work = f"a call of {method} (request {context.request_id})"
        with failures.on(work, context, passing), around(context):
            return await executor.call(method, arguments)

    return call
