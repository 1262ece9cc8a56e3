"""The work on one request, at the model it is for."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing

from mlserver_core.engine.admission import admit, admit_all
from mlserver_core.engine.in_flight import InFlight
from mlserver_core.engine.model_table import ModelEntry, Serving
from mlserver_core.errors import InternalError, MLServerError
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


def _internal(error: Exception, context: RequestContext, name: str) -> InternalError:
    logger.error(
        "A middleware failed on request %s of model %r", context.request_id, name, exc_info=error
    )
    return InternalError("internal error; the server's log has the details")
