from http import HTTPStatus

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.errors import InferenceError, MLServerError
from mlserver.types import InferenceRequest, InferenceResponse, Parameters

TENANTS = {"blue", "green"}


class UnknownTenant(MLServerError):
    def __init__(self, tenant):
        super().__init__(f"unknown tenant {tenant}", status_code=HTTPStatus.FORBIDDEN)


class Guarded(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        headers = payload.parameters.headers
        tenant = headers.get("x-tenant", "nobody")
        if tenant not in TENANTS:
            raise UnknownTenant(tenant)
        if len(payload.inputs) > 1:
            raise InferenceError("one input at a time, please")
        if payload.inputs[0].shape[0] > 2:
            raise MLServerError("too many rows", status_code=422)
        return InferenceResponse(
            model_name=self.name,
            outputs=[StringCodec.encode_output("tenant", [tenant])],
            parameters=Parameters(**{"headers": {"x-served-for": tenant}, "tier": 3}),
        )
