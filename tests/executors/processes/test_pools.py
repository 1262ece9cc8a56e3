"""Models of a server without listeners, in real worker processes."""

from __future__ import annotations

import os

import pytest

from mlserver_core import hookimpl
from mlserver_core.errors import InvalidRequest, ModelLoadError, RuntimeFailed, StartupError
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext

MODEL = """
import os
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, MetadataTensor, ResponseOutput

class Model(MLModel):
    def load(self):
        self.inputs = [MetadataTensor(name="x", datatype="FP64", shape=[-1])]
        return True

    def predict(self, payload):
        value = [os.getpid(), os.getppid(), int(os.environ["OMP_NUM_THREADS"])]
        output = ResponseOutput(name="process", shape=[3], datatype="INT64", data=value)
        return InferenceResponse(outputs=[output])

    async def predict_stream(self, payloads):
        async for payload in payloads:
            for _ in range(2):
                yield self.predict(payload)
"""


@pytest.fixture
def a_model(folder_model):
    """Makes a model that answers with the ids of its process and of the parent of that."""

    def make(name, **settings):
        return folder_model(name, MODEL, **settings)

    return make


async def process_of(engine, ask, name):
    pid, parent, _ = (await ask(engine, name)).outputs[0].data
    assert parent == os.getpid()
    return pid


async def test_models_share_the_workers_of_the_default_pool(start, ask, a_model):
    engine = await start(a_model("a"), a_model("b"), parallel_workers=1)
    processes = {await process_of(engine, ask, name) for name in "ab"}
    assert len(processes) == 1
    assert os.getpid() not in processes


async def test_zero_workers_are_the_servers_own_process(start, ask, a_model, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    engine = await start(a_model("a", parallel_workers=0), parallel_workers=1)
    assert (await ask(engine, "a")).outputs[0].data[0] == os.getpid()


async def test_a_class_that_was_given_in_code_stays_in_the_servers_process(start, ask):
    from mlserver_core import MLModel, ModelSettings
    from mlserver_core.types import InferenceResponse

    class Local(MLModel):
        async def predict(self, payload):
            return InferenceResponse(outputs=[], parameters={"process": os.getpid()})

    engine = await start(ModelSettings(name="m", implementation=Local), parallel_workers=1)
    assert (await ask(engine)).parameters.process == os.getpid()


async def test_a_model_with_a_number_of_workers_of_its_own_has_them_alone(start, ask, a_model):
    engine = await start(a_model("a"), a_model("b", parallel_workers=1), parallel_workers=1)
    assert await process_of(engine, ask, "a") != await process_of(engine, ask, "b")


async def test_models_of_one_pool_name_share_it_and_no_other_model_does(start, ask, a_model):
    models = [a_model(name, parameters={"inference_pool_gid": "g"}) for name in "ab"]
    engine = await start(*models, a_model("c"), parallel_workers=1)
    a, b, c = [await process_of(engine, ask, name) for name in "abc"]
    assert a == b != c


async def test_a_model_may_ask_for_a_pool_without_a_name(start, ask, a_model):
    parameters = {"autogenerate_inference_pool_gid": True}
    models = [a_model(name, parameters=parameters) for name in "ab"]
    engine = await start(*models, parallel_workers=1)
    assert await process_of(engine, ask, "a") != await process_of(engine, ask, "b")


async def test_a_pool_of_another_size_is_shared_with_a_warning(start, ask, a_model, caplog):
    models = [
        a_model(name, parallel_workers=size, parameters={"inference_pool_gid": "g"})
        for name, size in (("a", 1), ("b", 2))
    ]
    engine = await start(*models)
    assert await process_of(engine, ask, "a") == await process_of(engine, ask, "b")
    assert "Model 'b' asks for 2 workers, but pool 'g' has 1 already" in caplog.text


async def test_libraries_get_the_cores_divided_by_the_workers_unless_the_operator_says_otherwise(
    start, ask, a_model, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    engine = await start(a_model("a"), parallel_workers=2)
    expected = max(1, len(os.sched_getaffinity(0)) // 2)
    assert (await ask(engine, "a")).outputs[0].data[2] == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    engine = await start(a_model("b"), parallel_workers=1)
    assert (await ask(engine, "b")).outputs[0].data[2] == 7


async def test_inputs_that_a_model_declares_in_its_load_are_enforced(start, ask, a_model):
    engine = await start(a_model("a", strict_inputs=True), parallel_workers=1)
    await process_of(engine, ask, "a")
    tensor = RequestInput(name="y", shape=[1], datatype="FP64", data=[1.0])
    with pytest.raises(InvalidRequest, match="takes the inputs x"):
        await engine.infer("a", None, InferenceRequest(inputs=[tensor]), RequestContext())


async def test_a_model_streams_from_a_worker_w38(start, ask, a_model):
    engine = await start(a_model("a"), parallel_workers=1)

    async def requests():
        for _ in range(2):
            tensor = RequestInput(name="x", shape=[1], datatype="FP64", data=[1.0])
            yield InferenceRequest(inputs=[tensor])

    answers = engine.infer_stream("a", None, requests(), RequestContext())
    processes = [answer.outputs[0].data[0] async for answer in answers]
    assert len(processes) == 4
    assert set(processes) == {await process_of(engine, ask, "a")}


async def test_a_runtime_that_a_plugin_registers_in_code_is_found_in_workers(start, ask):
    from mlserver_core import ModelSettings

    class Plugin:
        @hookimpl
        def mlserver_register_runtimes(self, registry):
            registry.add("mine", "mlserver_core.runtimes.echo.EchoRuntime")

    model = ModelSettings(name="m", implementation="mine")
    engine = await start(model, plugin=Plugin(), parallel_workers=1)
    assert (await ask(engine)).outputs[0].name == "x"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return False", "load() returned False"),
        ("raise ValueError('no weights')", "ValueError: no weights"),
        ("import os; os._exit(3)", "the worker has ended (exit code 3)"),
    ],
)
async def test_a_load_that_fails_in_a_worker_says_why(start, folder_model, caplog, body, reason):
    code = MODEL.replace(
        'self.inputs = [MetadataTensor(name="x", datatype="FP64", shape=[-1])]', body
    )
    with pytest.raises(StartupError) as caught:
        await start(folder_model("a", code), parallel_workers=1)
    assert reason in str(caught.value)


async def test_a_model_that_ends_its_workers_at_load_takes_one_with_it_and_not_all(
    start, ask, write, a_model, tmp_path, caplog
):
    a_model("a")
    engine = await start(
        parallel_workers=2, load_models_at_startup=True, model_repository_root=str(tmp_path)
    )
    write("b/models.py", MODEL.replace("return True", "os._exit(3)"))
    write("b/model-settings.json", '{"implementation": "models.Model"}')
    with pytest.raises((RuntimeFailed, ModelLoadError), match="exit code 3"):
        await engine.load_model("b")
    assert engine.model_ready("a")
    await process_of(engine, ask, "a")
    assert caplog.text.count("has ended: exit code 3") == 1
