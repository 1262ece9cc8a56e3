"""Fails in the way that the name of its one input says."""

import asyncio
import sys

from mlserver_core import MLModel
from mlserver_core.errors import MLServerError
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput


class FaultyRuntime(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return getattr(self, payload.inputs[0].name)()

    def value_error(self):
        raise ValueError("no such file: /secret/place/of/models/weights.bin, sorry")

    def teapot(self):
        raise MLServerError("I am a teapot", status_code=418)

    def refused(self):
        raise MLServerError("not this one")

    def exits(self):
        sys.exit(3)

    def cancels(self):
        raise asyncio.CancelledError

    def nothing(self):
        return None

    def not_utf8(self):
        return self.answer("BYTES", [b"\xff\xfe"])

    def misfit(self):
        return self.answer("INT8", [300])

    def answer(self, datatype, data):
        output = ResponseOutput(name="y", shape=[len(data)], datatype=datatype, data=data)
        return InferenceResponse(outputs=[output])
