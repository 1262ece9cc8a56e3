from typing import Dict

from mlserver import MLModel
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Explained(MLModel):
    async def load(self) -> bool:
        self.asked = 0
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        total = sum(payload.inputs[0].data)
        output = ResponseOutput(name="total", shape=[1], datatype="FP64", data=[total])
        return InferenceResponse(model_name=self.name, outputs=[output])

    @custom_handler(rest_path="/explain", rest_method="POST")
    async def explain(self, payload: dict) -> dict:
        return {"because": sorted(payload), "model": self.name}

    @custom_handler(rest_path="/explained/again")
    async def again(self, request: InferenceRequest) -> InferenceResponse:
        return await self.predict(request)
