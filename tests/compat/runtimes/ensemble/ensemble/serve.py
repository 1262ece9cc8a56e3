import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from mlserver import MLModel, ModelSettings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from .members import read_members


class Ensemble(MLModel):
    """Asks its members side by side, in threads of its own."""

    def __init__(self, settings: ModelSettings):
        super().__init__(settings)
        self._pool = None

    async def load(self) -> bool:
        folder = os.path.dirname(self.settings._source)
        self._members = read_members(os.path.join(folder, self.settings.parameters.uri))
        self._pool = ThreadPoolExecutor(max_workers=2)
        return await super().load()

    async def unload(self) -> bool:
        self._pool.shutdown()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        values = NumpyCodec.decode_input(payload.inputs[0]).tolist()
        loop = asyncio.get_running_loop()
        votes = await asyncio.gather(
            *(
                loop.run_in_executor(self._pool, member.vote, values)
                for member in self._members
            )
        )
        sums = [sum(each) for each in zip(*votes)]
        from mlserver.types import ResponseOutput

        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[
                ResponseOutput(name="sum", shape=[len(sums)], datatype="INT64", data=sums)
            ],
        )
