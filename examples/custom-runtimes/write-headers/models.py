"""A runtime that sends headers with its answer (gRPC: trailing metadata)."""

from mlserver_core import MLModel
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters


class CustomHeadersRuntime(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return InferenceResponse(
            # Include any actual outputs from inference
            outputs=[],
            parameters=Parameters(headers={"foo": "bar"}),
        )
