from __future__ import annotations

import numpy as np
import pytest

DOUBLES = """
import os

import helpers
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput

class Model(MLModel):
    def load(self):
        self.factor = helpers.FACTOR
        return True

    def predict(self, payload):
        data = payload.inputs[0].data.root * self.factor
        output = ResponseOutput(name=str(os.getpid()), shape=data.shape, datatype="FP64", data=data)
        return InferenceResponse(outputs=[output])
"""


async def test_model_of_a_folder_answers(start_worker, folder_model, write):
    write("m/helpers.py", "FACTOR = 2")
    worker = await start_worker()
    description = await worker.load(folder_model("m", DOUBLES))
    assert (description.predicts, description.streams, description.handlers) == (True, False, ())
    response = await worker.predict(1.0, 2.5, id="r-1")
    assert (response.id, response.model_name) == ("r-1", "m")
    assert isinstance(response.outputs[0].data.root, np.ndarray)
    assert list(response.outputs[0].data) == [2, 5]


@pytest.mark.parametrize("settings", [{"parallel_workers": 2}, {"executor": "processes"}])
async def test_model_lives_in_the_worker_whatever_its_settings_say(
    start_worker, folder_model, write, settings
):
    write("m/helpers.py", "FACTOR = 2")
    worker = await start_worker()
    await worker.load(folder_model("m", DOUBLES, **settings))
    output = (await worker.predict(1.0)).outputs[0]
    assert (output.name, list(output.data)) == (str(worker.process.pid), [2])
