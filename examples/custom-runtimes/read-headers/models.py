"""A runtime that reads the headers of a request (gRPC: its metadata)."""

from mlserver_core import MLModel
from mlserver_core.codecs import StringCodec
from mlserver_core.types import InferenceRequest, InferenceResponse


class CustomHeadersRuntime(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tenant = "nobody"
        if payload.parameters and payload.parameters.headers:
            # These are all the incoming HTTP headers / gRPC metadata, names in lower case
            tenant = payload.parameters.headers.get("x-tenant", tenant)
        return InferenceResponse(outputs=[StringCodec.encode_output("tenant", [tenant])])
