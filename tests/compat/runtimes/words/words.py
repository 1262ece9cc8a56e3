from typing import AsyncIterator

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Words(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return self._answer(" ".join(self._split(payload)).upper())

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        payload = [request async for request in payloads][0]
        for word in self._split(payload):
            yield self._answer(word)

    def _split(self, payload):
        return StringCodec.decode_input(payload.inputs[0])[0].split()

    def _answer(self, text):
        return InferenceResponse(
            model_name=self.name,
            outputs=[StringCodec.encode_output(name="output", payload=[text], use_bytes=True)],
        )
