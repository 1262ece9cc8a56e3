"""Models as their users wrote them for MLServer; for us the imports name mlserver_core."""

import time

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Sum(MLModel):
    """The sum of its first input: one number, whatever the size of the request."""

    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        array = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        total = np.array([array.sum()], np.float32)
        return InferenceResponse(
            model_name=self.name,
            outputs=[NumpyCodec.encode_output("sum", total)],
        )


class Slow(MLModel):
    """The sum of each row, 5 ms for any number of them, in a call that blocks."""

    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return self.answer(payload)

    def answer(self, payload: InferenceRequest) -> InferenceResponse:
        array = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        time.sleep(0.005)
        totals = array.sum(axis=1, keepdims=True, dtype=np.float32)
        return InferenceResponse(
            model_name=self.name,
            outputs=[NumpyCodec.encode_output("sum", totals)],
        )


class PlainSlow(Slow):
    """The same as a plain function, which runs in a thread; MLServer knows no such models."""

    def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return self.answer(payload)
