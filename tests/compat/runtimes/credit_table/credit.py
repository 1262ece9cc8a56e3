import pandas as pd
from mlserver import MLModel
from mlserver.codecs import PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse


class CreditTable(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        frame = self.decode_request(payload, default_codec=PandasCodec)
        assert isinstance(frame, pd.DataFrame)
        frame["share"] = frame["debt"] / frame["income"]
        frame["name"] = frame["name"].str.upper()
        return PandasCodec.encode_response(
            self.name, frame[["name", "share"]], model_version=self.version
        )
