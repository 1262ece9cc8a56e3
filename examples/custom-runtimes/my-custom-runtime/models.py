"""A runtime with a model of its own: it loads, and it predicts."""

import numpy as np

from mlserver_core import MLModel
from mlserver_core.codecs import NumpyCodec
from mlserver_core.types import InferenceRequest, InferenceResponse


class Doubler:
    """The model: stands for whatever you trained."""

    def predict(self, payload: InferenceRequest) -> InferenceResponse:
        numbers = NumpyCodec.decode_input(payload.inputs[0])
        return InferenceResponse(
            outputs=[NumpyCodec.encode_output("doubled", np.multiply(numbers, 2))]
        )


def load_my_custom_model() -> Doubler:
    """Loads the model: stands for reading your weights."""
    return Doubler()


class MyCustomRuntime(MLModel):
    async def load(self) -> bool:
        self._model = load_my_custom_model()
        self.ready = True
        return self.ready

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return self._model.predict(payload)
