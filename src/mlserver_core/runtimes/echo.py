"""A runtime that answers what it was asked, for trying out clients and the server."""

from __future__ import annotations

from mlserver_core.model import MLModel
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput


class EchoRuntime(MLModel):
    """Each input comes back as an output of the same name; requested outputs are honoured."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The inputs as outputs, but for those that were not asked for."""
        wanted = {output.name for output in payload.outputs or ()}
        return InferenceResponse(
            outputs=[
                ResponseOutput(
                    name=tensor.name,
                    shape=tensor.shape,
                    datatype=tensor.datatype,
                    parameters=tensor.parameters,
                    data=tensor.data,
                )
                for tensor in payload.inputs
                if not wanted or tensor.name in wanted
            ]
        )
