"""Streams to a model in a real worker."""

from __future__ import annotations

import pytest

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import InferenceRequest, Parameters, RequestInput
from mlserver_core.types.context import RequestContext

MODEL = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    async def predict_stream(self, requests):
        async for request in requests:
            yield InferenceResponse(outputs=[])
"""


def request_of(**parameters):
    tensor = RequestInput(name="x", shape=[1], datatype="FP64", data=[1.0])
    return InferenceRequest(inputs=[tensor], parameters=Parameters(**parameters))


async def test_a_request_of_a_stream_that_cannot_be_sent_is_the_clients_mistake(
    start, folder_model
):
    engine = await start(folder_model("m", MODEL, parallel_workers=1))
    deep: list = []
    for _ in range(600):
        deep = [deep]

    async def requests():
        yield request_of()
        yield request_of(deep=deep)

    answers = engine.infer_stream("m", None, requests(), RequestContext())
    await anext(answers)
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        await anext(answers)
