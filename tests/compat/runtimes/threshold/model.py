import numpy as np
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.model import MLModel
from mlserver.settings import ModelSettings
from mlserver.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
)


class Threshold(MLModel):
    """Declares its tensors when it is loaded, as runtimes do that read them from an artifact."""

    def __init__(self, settings: ModelSettings):
        super().__init__(settings)
        self._level = getattr(settings.parameters, "level", 0.0)

    async def load(self) -> bool:
        self.inputs = [
            MetadataTensor(
                name="image",
                datatype="FP32",
                shape=[-1, 2, 2],
                parameters=Parameters(content_type=NumpyCodec.ContentType),
            )
        ]
        self.outputs = [MetadataTensor(name="mask", datatype=Datatype.UINT8, shape=[-1, 2, 2])]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        image = self.decode(payload.inputs[0])
        same = self.decode_request(payload, default_codec=NumpyRequestCodec)
        assert isinstance(image, np.ndarray)
        assert np.array_equal(image, same)
        mask = (image > self._level).astype(np.uint8)
        return InferenceResponse(
            model_name=self.name,
            outputs=[NumpyCodec.encode_output("mask", mask)],
        )

    async def unload(self) -> bool:
        self._level = None
        return True
