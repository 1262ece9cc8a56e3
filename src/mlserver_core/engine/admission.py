"""What a request must be before a model sees it, whichever transport brought it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from mlserver_core.errors import InvalidRequest
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, MetadataTensor, Parameters, RequestInput
from mlserver_core.types.context import RequestContext
from mlserver_core.types.request_ids import make_request_id
from mlserver_core.types.tensors import to_elements


def admit(request: InferenceRequest, settings: ModelSettings, context: RequestContext) -> None:
    """Checks a request and completes it in place.

    Every tensor's data becomes an array of its datatype (BYTES: a list), an absent id becomes
    that of the context or a new one, and ``parameters.headers`` becomes the transport's headers,
    whatever the client put there.

    Raises:
        InvalidRequest: names the tensor, what was expected and what came.
    """
    if not request.id:
        request.id = context.request_id or make_request_id()
    context.request_id = request.id
    if request.parameters is None:
        request.parameters = Parameters()
    request.parameters.headers = dict(context.headers)
    for tensor in request.inputs:
        tensor.data.root = to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
    if settings.strict_inputs and settings.inputs:
        _check_declared(request.inputs, settings.inputs)


async def admit_all(
    requests: AsyncIterable[InferenceRequest], settings: ModelSettings, context: RequestContext
) -> AsyncIterator[InferenceRequest]:
    """The requests of a stream, each checked when it is read; the first one is at once."""
    source = aiter(requests)
    first = await anext(source, None)
    if first is None:
        raise InvalidRequest("the stream ended before a request came")
    admit(first, settings, context)

    async def admitted() -> AsyncIterator[InferenceRequest]:
        yield first
        async for request in source:
            request.id = context.request_id
            admit(request, settings, context)
            yield request

    return admitted()


def _check_declared(inputs: list[RequestInput], declared: list[MetadataTensor]) -> None:
    expected = {tensor.name: tensor for tensor in declared}
    given = [tensor.name for tensor in inputs]
    if sorted(given) != sorted(expected):
        raise InvalidRequest(
            f"the model takes the inputs {', '.join(expected)}, got {', '.join(given) or 'none'}"
        )
    for tensor in inputs:
        known = expected[tensor.name]
        if tensor.datatype != known.datatype:
            raise InvalidRequest(
                f"tensor {tensor.name!r}: expected datatype {known.datatype}, got {tensor.datatype}"
            )
        pairs = zip(tensor.shape, known.shape, strict=False)
        fits = all(free in (size, -1) for size, free in pairs)
        if len(tensor.shape) != len(known.shape) or not fits:
            raise InvalidRequest(
                f"tensor {tensor.name!r}: expected shape {known.shape}, got {tensor.shape}"
            )
