from __future__ import annotations

import pytest

from mlserver_core.errors import ModelLoadError, Unavailable
from mlserver_core.executors.processes.frames import Kind

MODEL = """
import helpers
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput

class Model(MLModel):
    async def load(self):
        self.load_count = helpers.count()
        return True

    async def predict(self, payload):
        if payload.id == "lower":
            self.ready = False
        output = ResponseOutput(name="y", shape=[1], datatype="BYTES", data=[helpers.NAME])
        return InferenceResponse(outputs=[output])

    async def unload(self):
        raise ValueError("unload of " + helpers.NAME)
"""
HELPERS = """
NAME = "{name}"
loads = 0

def count():
    global loads
    loads += 1
    return loads
"""
BROKEN = """
from mlserver_core import MLModel
from mlserver_core.errors import MLServerError

class Model(MLModel):
    def load(self):
        {load}
"""


@pytest.fixture
def make_model(write, folder_model):
    def make(name="m"):
        write(f"{name}/helpers.py", HELPERS.format(name=name))
        return folder_model(name, MODEL)

    return make


async def answer_of(worker, generation=1):
    return (await worker.predict(1.0, generation=generation)).outputs[0].data[0]


async def test_models_with_modules_of_one_name_keep_to_their_own(start_worker, make_model):
    worker = await start_worker()
    for generation, name in enumerate(("one", "two"), 1):
        await worker.load(make_model(name), generation)
    assert [await answer_of(worker, each) for each in (1, 2, 1)] == ["one", "two", "one"]


async def test_two_generations_of_a_model_stand_side_by_side(start_worker, make_model, write):
    worker = await start_worker()
    settings = make_model()
    await worker.load(settings, 1)
    write("m/helpers.py", HELPERS.format(name="newer"))
    await worker.load(settings, 2)
    assert [await answer_of(worker, each) for each in (1, 2)] == ["m", "newer"]
    await worker.ask(Kind.UNLOAD, {"generation": 1})
    with pytest.raises(Unavailable):
        await answer_of(worker, 1)
    assert await answer_of(worker, 2) == "newer"


async def test_what_an_unload_raises_is_in_the_log_and_the_model_is_gone(start_worker, make_model):
    worker = await start_worker()
    await worker.load(make_model())
    assert await worker.ask(Kind.UNLOAD, {"generation": 1}) is None
    record = await worker.logged("failed to unload")
    assert record["traceback"].endswith("ValueError: unload of m")
    assert await worker.ask(Kind.UNLOAD, {"generation": 1}) is None


async def test_lowered_readiness_is_told_before_the_answer_that_lowered_it(
    start_worker, make_model
):
    worker = await start_worker()
    await worker.load(make_model())
    await worker.predict(1.0)
    assert not [frame for frame in worker.news if frame.kind is Kind.READY]
    await worker.predict(1.0, id="lower")
    (told,) = [frame.body for frame in worker.news if frame.kind is Kind.READY]
    assert told == {"generation": 1, "ready": False}


LOWERS_LATER = """
import threading
from mlserver_core import MLModel

class Model(MLModel):
    async def load(self):
        threading.Timer(0.1, self.lower).start()

    def lower(self):
        self.ready = False
"""


async def test_readiness_that_changes_without_a_call_is_told(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", LOWERS_LATER))
    assert (await worker.heard(Kind.READY))["ready"] is False


RAISES = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    broken = False

    @property
    def ready(self):
        if self.broken:
            raise ValueError("who knows")
        return True

    @ready.setter
    def ready(self, value):
        pass

    async def predict(self, payload):
        self.broken = True
        return InferenceResponse(outputs=[])
"""


async def test_model_that_cannot_say_whether_it_is_ready_answers_and_is_not(
    start_worker, folder_model
):
    worker = await start_worker()
    await worker.load(folder_model("m", RAISES))
    await worker.predict(1.0)
    assert (await worker.heard(Kind.READY))["ready"] is False
    record = await worker.logged("Model 'm' cannot say whether it is ready")
    assert "who knows" in record["traceback"]


@pytest.mark.parametrize(
    "load",
    [
        "return False",
        "raise ValueError('of /home/somebody/file.bin')",
        "raise MLServerError('for the operator', 409)",
        "raise SystemExit(3)",
        "import nowhere_to_be_found",
    ],
)
async def test_failed_load_has_the_reason_that_it_has_in_the_server(
    start, start_worker, folder_model, load
):
    settings = folder_model("m", BROKEN.format(load=load))
    engine = await start(settings, on_load_error="serve")
    (entry,) = engine.models.table
    worker = await start_worker()
    with pytest.raises(ModelLoadError) as raised:
        await worker.load(settings)
    assert (raised.value.name, raised.value.message) == ("m", entry.reason)
    with pytest.raises(Unavailable):
        await worker.predict(1.0)


async def test_traceback_of_a_failed_load_is_in_the_log_once(start_worker, folder_model):
    worker = await start_worker()
    with pytest.raises(ModelLoadError):
        await worker.load(folder_model("m", BROKEN.format(load="raise ValueError('why')")))
    with pytest.raises(ModelLoadError):
        await worker.load(folder_model("n", BROKEN.format(load="return False")), 2)
    records = [frame.body for frame in worker.news if frame.kind is Kind.LOG]
    assert [record["message"] for record in records] == ["Model 'm' failed in load"]
    assert 'models.py", line 7, in load' in records[0]["traceback"]
    assert records[0]["traceback"].endswith("ValueError: why")


HANDLERS = """
from mlserver_core import MLModel, custom_handler

class Model(MLModel):
    async def predict_stream(self, payloads):
        yield

    @custom_handler(rest_path="/one/{name}", rest_method="GET")
    async def one(self, name: NAME):
        return name

    async def unload(self):
        raise ValueError("it was unloaded")
"""


async def test_description_has_the_handlers_of_a_model(start_worker, folder_model):
    worker = await start_worker()
    described = await worker.load(folder_model("m", HANDLERS.replace("NAME", "str")))
    (handler,) = described.handlers
    assert (handler.name, handler.rest_path, handler.rest_method) == ("one", "/one/{name}", "GET")
    assert (described.predicts, described.streams) == (False, True)


async def test_model_whose_handler_cannot_be_called_is_unloaded_again(start_worker, folder_model):
    worker = await start_worker()
    with pytest.raises(ModelLoadError, match="parameter 'name' cannot be filled from a request"):
        await worker.load(folder_model("m", HANDLERS.replace("NAME", "dict")))
    record = await worker.logged("failed to unload")
    assert record["traceback"].endswith("ValueError: it was unloaded")


ARTIFACTS = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput

class Model(MLModel):
    async def predict(self, payload):
        policy = self.settings.policy
        facts = [str(policy.allow_pickle), *policy.trusted_types, self.settings.parameters.mine]
        output = ResponseOutput(name="y", shape=[len(facts)], datatype="BYTES", data=facts)
        return InferenceResponse(outputs=[output])
"""


async def test_settings_and_the_rules_of_the_operator_come_with_the_model(
    start_worker, folder_model
):
    worker = await start_worker(allow_pickle=False, trusted_types=["a.B"])
    await worker.load(folder_model("m", ARTIFACTS, parameters={"mine": "own"}))
    assert list((await worker.predict(1.0)).outputs[0].data) == ["False", "a.B", "own"]
