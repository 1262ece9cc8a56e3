"""The work on one request, at the model it is for."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing

from mlserver_core.engine.admission import admit, admit_all
from mlserver_core.engine.in_flight import InFlight
from mlserver_core.engine.model_table import ModelEntry, Serving
from mlserver_core.errors import InternalError, MLServerError
from mlserver_core.executors.interfaces import HttpAnswer, HttpCall
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext

logger = logging.getLogger("mlserver")


async def infer_on(
    entry: ModelEntry,
    serving: Serving,
    in_flight: InFlight,
    request: InferenceRequest,
    context: RequestContext,
) -> InferenceResponse:
    """Answers a request, which counts among ``in_flight`` and those of the model meanwhile.

    Raises:
        MLServerError: every failure, with its code; nothing else comes out.
    """
    entry.check_room()
    with in_flight, serving.in_flight:
        admit(request, entry.settings, context)
        try:
            return await serving.infer(request, context)
        except MLServerError:
            raise
        except Exception as error:
            raise _internal(error, context, entry.settings.name) from error


async def stream_on(
    entry: ModelEntry,
    serving: Serving,
    in_flight: InFlight,
    requests: AsyncIterable[InferenceRequest],
    context: RequestContext,
) -> AsyncGenerator[InferenceResponse, None]:
    """Answers a stream of requests; it counts, and raises, as ``infer_on`` does."""
    entry.check_room()
    with in_flight, serving.in_flight:
        admitted = await admit_all(requests, entry.settings, context)
        async with aclosing(serving.infer_stream(admitted, context)) as responses:
            try:
                async for response in responses:
                    yield response
            except MLServerError:
                raise
            except Exception as error:
                raise _internal(error, context, entry.settings.name) from error


async def exchange_on(
    entry: ModelEntry,
    serving: Serving,
    in_flight: InFlight,
    called: tuple[str, Callable[[], Awaitable[HttpCall]]],
    context: RequestContext,
) -> AsyncGenerator[HttpAnswer | bytes, None]:
    """Runs a custom handler of a model in another process; it counts as ``infer_on`` does.

    Args:
        entry: of the model.
        serving: of the model.
        in_flight: of the server.
        called: the handler's name, and what reads the HTTP request.
        context: where the call comes from.

    Raises:
        MLServerError: it failed. What reading the request raises comes through.
    """
    handler, bind = called
    if serving.exchange is None:
        raise RuntimeError(f"model {entry.settings.name!r} lives in this process")
    entry.check_room()
    with in_flight, serving.in_flight:
        async with aclosing(serving.exchange(handler, await bind(), context)) as pieces:
            async for piece in pieces:
                yield piece


def _internal(error: Exception, context: RequestContext, name: str) -> InternalError:
    logger.error(
        "A middleware failed on request %s of model %r", context.request_id, name, exc_info=error
    )
    return InternalError("internal error; the server's log has the details")
