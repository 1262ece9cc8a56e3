"""What an answer of a model must be before a transport sees it."""

from __future__ import annotations

import copy
import logging

from mlserver_core.errors import InvalidRequest, RuntimeFailed
from mlserver_core.settings import ModelSettings
from mlserver_core.types import Datatype, InferenceResponse, ResponseOutput, TensorData
from mlserver_core.types.tensors import to_elements

logger = logging.getLogger("mlserver")


def seal(response: object, id: str | None, settings: ModelSettings) -> InferenceResponse:
    """Checks an answer and fills in what the server answers for: id, model name and version.

    Args:
        response: what the model gave; it is left as it is, since a runtime may give the same
            objects every time.
        id: of the request.
        settings: of the model.

    Returns:
        A copy, in which every tensor of numbers is an array of its datatype.

    Raises:
        RuntimeFailed: it is no InferenceResponse, or a tensor of numbers does not fit its own
            shape and datatype.
    """
    if not isinstance(response, InferenceResponse):
        text = (
            f"Model {settings.name!r} gave no answer: predict() must return an "
            f"InferenceResponse, got {type(response).__name__}"
        )
        logger.error("%s, on request %s", text, id)
        raise RuntimeFailed(text)
    return InferenceResponse(
        model_name=response.model_name or settings.name,
        model_version=response.model_version or settings.version,
        id=id,
        parameters=None if response.parameters is None else copy.copy(response.parameters),
        outputs=[_fitted(output, settings) for output in response.outputs],
    )


def _fitted(output: ResponseOutput, settings: ModelSettings) -> ResponseOutput:
    if output.datatype is Datatype.BYTES:  # text may stand for more elements than one
        return output
    try:
        elements = to_elements(output.name, output.datatype, output.shape, output.data.root)
    except InvalidRequest as error:  # the runtime's mistake, not the caller's
        text = f"the model's answer does not fit: {error}"
        logger.error("Model %r: %s", settings.name, text)  # noqa: TRY400  # no bug of ours to trace
        raise RuntimeFailed(text) from None
    if elements is output.data.root:
        return output
    output = copy.copy(output)
    output.data = TensorData(elements)
    return output
