from __future__ import annotations

import logging

import pytest

from mlserver_core.executors.processes import logs
from mlserver_core.executors.processes.frames import Kind
from mlserver_core.logging.configuration import configure_logging
from mlserver_core.settings import Settings

MODEL = """
import logging
import threading

from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

logging.getLogger("mlserver").warning("at the %s", "top")


class Model(MLModel):
    def load(self):
        logging.getLogger("mine").warning("in load, %d", 1)
        return True

    def predict(self, payload):
        logger = logging.getLogger("mine.deep")
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("caught")
        logger.debug("too low")
        logging.getLogger("mine.loud").debug("wanted")
        thread = threading.Thread(target=logger.error, args=["in a thread"], name="own")
        thread.start()
        thread.join()
        return InferenceResponse(outputs=[])
"""


async def load(worker, folder_model, **settings):
    await worker.load(folder_model("m", MODEL, **settings))


async def test_records_come_with_name_level_and_the_model(start_worker, folder_model):
    worker = await start_worker()
    await load(worker, folder_model, parameters={"version": "v2"})
    top, loaded = await worker.logged("at the top"), await worker.logged("in load, 1")
    assert (top["name"], top["levelname"], top["model"]) == ("mlserver", "WARNING", "[m:v2]")
    assert (loaded["name"], loaded["model"]) == ("mine", "[m:v2]")
    assert loaded["process"] == worker.process.pid
    await worker.predict(1.0)
    caught = await worker.logged("caught")
    assert (caught["name"], caught["funcName"], caught["model"]) == (
        "mine.deep",
        "predict",
        "[m:v2]",
    )
    assert caught["traceback"].endswith("ValueError: why")
    thread = await worker.logged("in a thread")
    assert (thread["threadName"], thread["model"]) == ("own", "")


async def test_records_below_the_levels_of_the_server_are_not_sent(start_worker, folder_model):
    worker = await start_worker(levels={"": 30, "mine.loud": 10})
    await load(worker, folder_model)
    await worker.predict(1.0)
    messages = [frame.body["message"] for frame in worker.news if frame.kind is Kind.LOG]
    assert messages == ["at the top", "in load, 1", "caught", "wanted", "in a thread"]


@pytest.fixture
def logger():
    """The logger of the server, which is as it was after each test."""
    found = logging.getLogger("mlserver")
    before = found.level, found.propagate, list(found.handlers)
    found.handlers = []
    yield found
    found.setLevel(before[0])
    found.propagate = before[1]
    found.handlers = before[2]


async def test_server_writes_them_as_its_own(start_worker, folder_model, logger, capsys):
    configure_logging(Settings())
    worker = await start_worker(levels=logs.levels())
    await load(worker, folder_model)
    logs.emit(await worker.logged("at the top"))
    assert capsys.readouterr().out.endswith(" [mlserver][m] WARNING - at the top\n")
    made = {**await worker.logged("at the top"), "model": "", "traceback": "Traceback: x"}
    logs.emit(made)
    assert capsys.readouterr().out.endswith(" [mlserver] WARNING - at the top\nTraceback: x\n")
    logger.setLevel(logging.ERROR)
    logs.emit(made)
    assert capsys.readouterr().out == ""


def test_levels_of_one_process_are_those_of_another(logger):
    logging.getLogger("mlserver.of-the-test").setLevel(17)
    found = logs.levels()
    assert found[""] == logging.getLogger().level
    assert found["mlserver.of-the-test"] == 17
    logs.set_levels({"mlserver.of-the-test": 0})
    assert "mlserver.of-the-test" not in logs.levels()
