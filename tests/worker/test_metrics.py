from __future__ import annotations

import pytest

from mlserver_core.errors import MLServerError, RuntimeFailed
from mlserver_core.executors.processes.frames import Kind

MODEL = """
import threading

import mlserver_core
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

OWN = mlserver_core.register("own", "Of its own.")


class Model(MLModel):
    def predict(self, payload):
        name, _, value = payload.id.partition("=")
        if name == "thread":
            thread = threading.Thread(target=OWN.observe, args=[3])
            thread.start()
            thread.join()
        elif name == "register":
            mlserver_core.register(value, "Registered.")
        else:
            mlserver_core.log(**{name: float(value) if value else object()})
        return InferenceResponse(outputs=[])
"""


def counted(worker):
    """What METRICS has come so far; those of one call come before its answer."""
    return [
        (frame.body["op"], frame.body["name"], frame.body["value"])
        for frame in worker.news
        if frame.kind is Kind.METRICS and frame.body["generation"] == 5
    ]


async def test_what_a_call_counts_comes_before_its_answer(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL), 5)
    assert counted(worker) == [("register", "own", 0)]
    for id in ("rows=2", "rows=3", "own=1", "thread"):
        await worker.predict(1.0, id=id, generation=5)
    assert counted(worker)[1:] == [
        ("register", "rows", 0),
        ("observe", "rows", 2),
        ("observe", "rows", 3),
        ("observe", "own", 1),
        ("observe", "own", 3),
    ]
    (description,) = {
        frame.body["description"]
        for frame in worker.news
        if frame.kind is Kind.METRICS and frame.body["op"] == "register"
        if frame.body["name"] == "own"
    }
    assert description == "Of its own."


NAMES = [
    "model_infer_request_success",
    "model_infer_request_duration_sum",
    "model_infer_request",
    "python_info",
    "python",
    "other",
    "other_sum",
    "parallel_request_queue",
    "no name",
    "fine",
]


@pytest.mark.parametrize("name", NAMES)
async def test_name_is_refused_as_in_the_server(start, ask, start_worker, folder_model, name):
    settings = folder_model("m", MODEL)
    engine = await start(settings)
    engine.metrics.of_model("another", None).register("other", "Of another model.")
    worker = await start_worker()
    await worker.load(settings, 1, engine.metrics.of_model("m", None).taken())
    texts = []
    for asked in (ask(engine, id=f"register={name}"), worker.predict(1.0, id=f"register={name}")):
        try:
            await asked
        except MLServerError as error:
            texts.append(str(error))
        else:
            texts.append("")
    assert texts[0] == texts[1]
    assert (texts[0] == "") is (name in ("other", "fine", "python", "model_infer_request"))


async def test_value_that_is_no_number_is_refused(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    with pytest.raises(RuntimeFailed, match="metric 'rows': expected a number, got object"):
        await worker.predict(1.0, id="rows")


async def test_nothing_is_counted_where_the_server_counts_nothing(start_worker, folder_model):
    worker = await start_worker(metrics_endpoint="")
    await worker.load(folder_model("m", MODEL), 5)
    await worker.predict(1.0, id="rows=2", generation=5)
    assert counted(worker) == []
