import numpy as np
from mlserver.codecs.base import InputCodec
from mlserver.codecs.numpy import NumpyCodec
from mlserver.codecs.string import StringCodec
from mlserver.codecs.utils import decode_request_input, get_decoded_or_raw
from mlserver.errors import MLServerError
from mlserver.model import MLModel
from mlserver.settings import ModelParameters, ModelSettings
from mlserver.types import InferenceRequest, InferenceResponse, RequestOutput


class DeepImports(MLModel):
    """Imports each name from the module that has it, and encodes what the client asks for."""

    async def load(self) -> bool:
        assert isinstance(self.settings, ModelSettings)
        assert issubclass(StringCodec, InputCodec)
        assert isinstance(self.settings.parameters, ModelParameters)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        words = payload.inputs[0]
        found = decode_request_input(words, {each.name: each for each in self.inputs})
        assert get_decoded_or_raw(words) == found
        limit = self.settings.parameters.limit
        if len(found) > limit:
            raise MLServerError(f"at most {limit} words")
        values = {"words": found, "lengths": np.array([len(each) for each in found])}
        wanted = payload.outputs or [RequestOutput(name=name) for name in values]
        outputs = [
            self.encode(values[each.name], request_output=each, default_codec=NumpyCodec)
            for each in wanted
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
