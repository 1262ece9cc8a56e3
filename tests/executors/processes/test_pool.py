"""What the workers of a pool have, when things happen at the same time."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

MODEL = """
import asyncio, os
from pathlib import Path
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput

HERE = Path(__file__).parent

def note(what):
    (HERE / f"{what}-{os.getpid()}").touch()

class Model(MLModel):
    async def load(self):
        note("loading")
        while (HERE / "hold").exists():
            await asyncio.sleep(0.01)
        if (HERE / "cancel").exists():
            (HERE / "cancel").unlink()
            raise asyncio.CancelledError
        return True

    async def unload(self):
        note("unloaded")
        return True

    async def predict(self, request):
        output = ResponseOutput(name="pid", shape=[1], datatype="INT64", data=[os.getpid()])
        return InferenceResponse(outputs=[output])

class Unready(Model):
    @property
    def ready(self):
        return (HERE / "ready").exists()

    @ready.setter
    def ready(self, value):
        pass
"""


@pytest.fixture
async def engine(start, folder_model, tmp_path):
    """Serves the model ``m`` in one worker."""
    folder_model("m", MODEL)
    return await start(
        parallel_workers=1, load_models_at_startup=True, model_repository_root=str(tmp_path)
    )


@pytest.fixture
def kill(engine, ask):
    """Kills the worker."""

    async def end_it():
        pid = (await ask(engine)).outputs[0].data[0]
        os.kill(int(pid), signal.SIGKILL)

    return end_it


async def until(fact):
    while not fact():  # noqa: ASYNC110  # other processes make it true
        await asyncio.sleep(0.01)


async def test_a_model_that_is_unloaded_while_a_new_worker_loads_it_does_not_stay_there(
    engine, kill, tmp_path
):
    folder = tmp_path / "m"
    (folder / "hold").touch()
    await kill()
    await until(lambda: len(list(folder.glob("loading-*"))) == 2)
    await engine.unload_model("m")
    (folder / "hold").unlink()
    await until(lambda: list(folder.glob("unloaded-*")))


async def test_a_new_worker_tries_again_whatever_a_load_failed_of(engine, kill, tmp_path):
    (tmp_path / "m" / "cancel").touch()
    await kill()
    await until(lambda: not (tmp_path / "m" / "cancel").exists())
    await until(lambda: engine.model_ready("m"))


async def test_a_model_that_says_it_is_not_ready_is_not_ready_from_the_start(
    start, folder_model, tmp_path
):
    engine = await start(folder_model("m", MODEL, "models.Unready"), parallel_workers=1)
    assert not engine.model_ready("m")
    (tmp_path / "m" / "ready").touch()
    await until(lambda: engine.model_ready("m"))
