"""Models that cost next to nothing, so that what is measured is the server."""

from __future__ import annotations

import asyncio

import numpy as np

from mlserver_core import MLModel
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput, TensorData


class Sum(MLModel):
    """Answers with the sum of the first input, so large requests get small answers."""

    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Answers one number, FP32 ``[1]``; an input called ``wrong`` is refused."""
        tensor = request.inputs[0]
        if tensor.name == "wrong":
            raise InvalidRequest("tensor 'wrong': the model was asked to refuse it")
        total = np.asarray(tensor.data.root).sum(dtype=np.float32)
        return self._answer(np.array([total], np.float32))

    def _answer(self, data: np.ndarray) -> InferenceResponse:
        output = ResponseOutput(
            name="y", shape=list(data.shape), datatype="FP32", data=TensorData(data)
        )
        return InferenceResponse(model_name=self.name, outputs=[output])


class Echo(Sum):
    """Answers with the first input, so large requests get large answers."""

    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Answers the very array that came."""
        return self._answer(np.asarray(request.inputs[0].data.root))


class Plain(Echo):
    """As ``Echo``, with a plain function: the server calls it in a thread."""

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Answers the very array that came."""
        return self._answer(np.asarray(request.inputs[0].data.root))


class Wait(MLModel):
    """Takes as many seconds as the request's first element says, and can be cancelled."""

    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        """Answers nothing, late."""
        await asyncio.sleep(float(request.inputs[0].data.root[0]))
        return InferenceResponse(model_name=self.name, outputs=[])
