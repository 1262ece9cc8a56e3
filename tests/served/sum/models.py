"""Adds up each row of its one input; a plain ``def``, so it runs in a thread."""

import helpers

from mlserver_core import MLModel
from mlserver_core.codecs import NumpyCodec, NumpyRequestCodec
from mlserver_core.types import InferenceRequest, InferenceResponse


class SumRuntime(MLModel):
    def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode_request(payload, default_codec=NumpyRequestCodec)
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[NumpyCodec.encode_output("total", helpers.row_sums(rows))],
        )
