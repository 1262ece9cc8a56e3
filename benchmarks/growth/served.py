"""Models as their authors would write them."""

from __future__ import annotations

import time

from mlserver_core import MLModel
from mlserver_core.codecs import NumpyCodec
from mlserver_core.types import InferenceRequest, InferenceResponse


class Double(MLModel):
    """Answers twice what it was asked, of the same shape."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """On the event loop."""
        return self._double(payload)

    def _double(self, payload: InferenceRequest) -> InferenceResponse:
        numbers = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        output = NumpyCodec.encode_output("y", numbers * 2)
        return InferenceResponse(model_name=self.name, outputs=[output])


class Threaded(Double):
    """The same in a plain function, which the server calls in a thread."""

    def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """In the model's thread."""
        return self._double(payload)


class Wait(Threaded):
    """Waits for 5 ms first, as for native code that lets go of Python's lock."""

    def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """In the model's thread."""
        time.sleep(0.005)
        return self._double(payload)


class Burn(Threaded):
    """Computes in Python for 5 ms of processor time first."""

    def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """In the model's thread, without letting go of Python's lock by itself."""
        end = time.thread_time() + 0.005
        while time.thread_time() < end:
            pass
        return self._double(payload)
