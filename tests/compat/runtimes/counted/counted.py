import time

import mlserver
from mlserver.codecs import NumpyCodec
from mlserver.logging import logger
from mlserver.types import InferenceRequest, InferenceResponse


class Counted(mlserver.MLModel):
    async def load(self) -> bool:
        mlserver.register("rows_seen", "Rows in each request")
        logger.info("counts rows")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        started = time.perf_counter()
        rows = NumpyCodec.decode_input(payload.inputs[0])
        mlserver.log(rows_seen=len(rows))
        answer = InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("max", rows.max(axis=1))]
        )
        mlserver.log(seconds_taken=time.perf_counter() - started)
        return answer
