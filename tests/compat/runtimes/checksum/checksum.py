import hashlib

from mlserver import MLModel
from mlserver.codecs import Base64Codec
from mlserver.types import InferenceRequest, InferenceResponse

from hexadecimal import HexadecimalCodec


class Checksum(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        files = self.decode(payload.inputs[0])
        digests = [hashlib.md5(file).digest()[:4] for file in files]
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                HexadecimalCodec.encode_output("digest", digests),
                Base64Codec.encode_output("same", digests),
            ],
        )
