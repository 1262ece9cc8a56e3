"""The custom runtimes of MLServer's documentation, as files beside their settings."""

from __future__ import annotations

import pytest

MY_CUSTOM_RUNTIME = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceRequest, InferenceResponse
from loading import load_my_custom_model

class MyCustomRuntime(MLModel):

  async def load(self) -> bool:
    # TODO: Replace for custom logic to load a model artifact
    self._model = load_my_custom_model()
    self.ready = True
    return self.ready

  async def predict(self, payload: InferenceRequest) -> InferenceResponse:
    # TODO: Replace for custom logic to run inference
    return self._model.predict(payload)
"""

LOADING = """
from mlserver_core.codecs import NumpyCodec
from mlserver_core.types import InferenceResponse

class MyModel:
    def predict(self, payload):
        values = NumpyCodec.decode_input(payload.inputs[0])
        total = NumpyCodec.encode_output("sum", values.sum(keepdims=True))
        return InferenceResponse(outputs=[total])

def load_my_custom_model():
    return MyModel()
"""

CUSTOM_HEADERS_READ = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceRequest, InferenceResponse

class CustomHeadersRuntime(MLModel):

  ...

  async def predict(self, payload: InferenceRequest) -> InferenceResponse:
    if payload.parameters and payload.parameters.headers:
      # These are all the incoming HTTP headers / gRPC metadata
      print(payload.parameters.headers)
    return InferenceResponse(outputs=[])
"""

CUSTOM_HEADERS_WRITTEN = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters

class CustomHeadersRuntime(MLModel):

  ...

  async def predict(self, payload: InferenceRequest) -> InferenceResponse:
    return InferenceResponse(
      # Include any actual outputs from inference
      outputs=[],
      parameters=Parameters(headers={"foo": "bar"})
    )
"""


async def test_the_runtime_of_the_documentation_loads_and_predicts(start, ask, folder_model):
    model = folder_model("m", MY_CUSTOM_RUNTIME, "models.MyCustomRuntime")
    (model.folder / "loading.py").write_text(LOADING)
    answer = await ask(await start(model), data=[1.0, 2.5], id="r-1")
    assert (answer.model_name, answer.id) == ("m", "r-1")
    assert answer.outputs[0].data == [3.5]


async def test_the_runtime_of_the_documentation_reads_headers(start, ask, folder_model, capsys):
    model = folder_model("m", CUSTOM_HEADERS_READ, "models.CustomHeadersRuntime")
    engine = await start(model, cloud_events=False)
    await ask(engine, headers={"x-user": "me"})
    assert capsys.readouterr().out == "{'x-user': 'me'}\n"
    await ask(engine)
    assert capsys.readouterr().out == ""


async def test_the_runtime_of_the_documentation_writes_headers(start, ask, folder_model):
    model = folder_model("m", CUSTOM_HEADERS_WRITTEN, "models.CustomHeadersRuntime")
    answer = await ask(await start(model))
    assert answer.parameters.headers["foo"] == "bar"


@pytest.mark.parametrize(
    "ending", ["", "\n    self.ready = True", "\n    self.ready = False", "\n    return True"]
)
async def test_a_load_written_carelessly_is_good_enough(start, ask, folder_model, ending):
    code = f"""
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
  async def load(self):
    self.value = 1{ending}

  def predict(self, payload):
    return InferenceResponse(outputs=[])
"""
    await ask(await start(folder_model("m", code)))
