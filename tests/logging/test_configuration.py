from __future__ import annotations

import logging
import re

import pytest

from mlserver_core.errors import RuntimeFailed
from mlserver_core.logging.configuration import configure_logging
from mlserver_core.settings import Settings


@pytest.fixture(autouse=True)
def logger():
    """The logger of the server, which is as it was after each test."""
    found = logging.getLogger("mlserver")
    before = found.level, found.propagate, list(found.handlers)
    found.handlers = []
    yield found
    found.setLevel(before[0])
    found.propagate = before[1]
    found.handlers = before[2]


def test_messages_of_the_server_go_to_standard_output_one_line_each(logger, capsys):
    configure_logging(Settings())
    logger.getChild("rest").info("hello %s", "there")
    captured = capsys.readouterr()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[mlserver\.rest\] INFO - hello there\n",
        captured.out,
    )
    assert captured.err == ""


LOGS = """
import logging
import threading
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

logger = logging.getLogger("mlserver.mine")
logger.info("imported")

class Model(MLModel):
    def load(self):
        logger.info("loaded")

    def predict(self, payload):
        logger.info("plain")
        raise ValueError("why")

    async def predict_stream(self, payloads):
        logger.info("stream")
        yield InferenceResponse(outputs=[])
"""


async def test_line_that_a_models_code_made_has_its_name_and_version(
    logger, capsys, start, ask, folder_model
):
    configure_logging(Settings())
    versioned = {"parameters": {"version": "v1"}}
    engine = await start(folder_model("m", LOGS), folder_model("n", LOGS, **versioned))
    for name in ("m", "n"):
        with pytest.raises(RuntimeFailed):
            await ask(engine, name, id="r")
    lines = [line for line in capsys.readouterr().out.splitlines() if " INFO - " in line]
    shown = sorted(line.partition(" [")[2] for line in lines if "mlserver.mine" in line)
    assert shown == [
        f"mlserver.mine]{model} INFO - {text}"
        for model in ("[m]", "[n:v1]")
        for text in ("imported", "loaded", "plain")
    ]
    assert "[mlserver] INFO - Loaded model m" in "".join(lines)


@pytest.mark.parametrize("debug", [True, False])
def test_debug_messages_are_shown_when_asked_for(logger, capsys, debug):
    configure_logging(Settings(debug=debug))
    logger.debug("detail")
    assert ("detail" in capsys.readouterr().out) is debug


def test_configuring_twice_prints_each_message_once(logger, capsys):
    configure_logging(Settings(debug=True))
    configure_logging(Settings())
    logger.info("hello")
    logger.debug("detail")
    assert capsys.readouterr().out.count("hello") == 1
    assert len(logger.handlers) == 1


def test_loggers_of_others_are_left_alone(logger, capsys):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    configure_logging(Settings(debug=True))
    assert (root.level, list(root.handlers)) == before


LIBRARY = """
import logging

from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

library = logging.getLogger("some_library")

class Model(MLModel):
    def load(self):
        library.info("it informs")
        library.warning("it warns")
        return True

    async def predict(self, payload):
        return InferenceResponse(outputs=[])
"""
SHOWN = """
library.setLevel(logging.INFO)
library.propagate = False
library.handlers = [logging.StreamHandler()]
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_of_other_loggers_warnings_are_shown_and_the_rest_where_the_model_asks_for_it(
    serve, model_folder, workers
):
    root = model_folder("lost", LIBRARY, implementation="models.Model").parent
    lost = serve(root, MLSERVER_PARALLEL_WORKERS=workers)
    assert lost.stop() == 0
    assert [line for line in lost.lines if line.startswith("it ")] == ["it warns"]
    model_folder("lost", LIBRARY + SHOWN, implementation="models.Model")
    shown = serve(root, MLSERVER_PARALLEL_WORKERS=workers)
    assert shown.stop() == 0
    assert [line for line in shown.lines if line.startswith("it ")] == ["it informs", "it warns"]
