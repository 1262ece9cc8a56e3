"""Answers with the headers it got, and sends headers of its own."""

import json

from mlserver_core import MLModel
from mlserver_core.codecs import StringCodec
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters


class HeadersRuntime(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        import helpers

        got = dict(payload.parameters.headers)
        return InferenceResponse(
            outputs=[StringCodec.encode_output("headers", [json.dumps(got)])],
            parameters=Parameters(
                headers={"X-From": helpers.WHO, "Connection": "close", "X-Bad": "a\r\nb: c"},
                kept=True,
            ),
        )
