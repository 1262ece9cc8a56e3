import json

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri

WELLKNOWN_MODEL_FILENAMES = ["model.json", "weights.json"]


class HousePrices(MLModel):
    async def load(self) -> bool:
        path = await get_model_uri(
            self._settings, wellknown_filenames=WELLKNOWN_MODEL_FILENAMES
        )
        with open(path) as file:
            artifact = json.load(file)
        self._coefficients = np.array(artifact["coefficients"])
        self._intercept = artifact["intercept"]
        self.ready = True
        return self.ready

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        by_name = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        rows = np.column_stack([by_name["area"].ravel(), by_name["rooms"].ravel()])
        prices = rows @ self._coefficients + self._intercept
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[NumpyCodec.encode_output(name="price", payload=prices)],
        )
