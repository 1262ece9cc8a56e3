"""What the workers of a pool have, when things happen at the same time."""

from __future__ import annotations

import asyncio
import os
import signal

import attrs
import pytest

from mlserver_core.executors.interfaces import ModelDescription, ModelSource
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.executors.processes.pool import Pool
from mlserver_core.executors.processes.room import Room
from mlserver_core.settings import ModelSettings, Settings

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


@attrs.define(eq=False)
class Worker:
    """A process that is asked, and answers when the test says so."""

    calls: dict = attrs.field(factory=dict)
    tasks: dict = attrs.field(factory=dict)
    room: Room = attrs.field(factory=Room)
    asked: set = attrs.field(factory=set)
    loaded: dict = attrs.field(factory=dict)
    said: dict = attrs.field(factory=dict)
    culprit: object = None
    sent: list = attrs.field(factory=list)

    def send(self, kind, call, body=None):
        self.sent.append((kind, call))


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


@pytest.mark.parametrize("turns", range(12))
async def test_a_worker_that_begins_when_a_load_is_just_over_loads_the_model_once(turns):
    pool, first, second = Pool(1, Settings()), Worker(), Worker()
    pool.supervisor.begun = 1
    pool.dispatcher.workers.append(first)
    source = ModelSource(settings=ModelSettings(name="m", implementation="m.M"), make=object)
    load = asyncio.ensure_future(pool.load(source))
    await until(lambda: first.sent)
    [(_, id)] = first.sent
    done = ModelDescription(predicts=True, streams=False)
    pool._take(first, Frame(Kind.RESULT, id, done))
    for _ in range(turns):
        await asyncio.sleep(0)
    pool._begin(second)
    await load
    await until(lambda: second.sent)
    for _ in range(12):
        await asyncio.sleep(0)
    [(kind, id)] = second.sent
    assert kind is Kind.LOAD
    pool._take(second, Frame(Kind.RESULT, id, done))
    await until(lambda: second.loaded)


NEIGHBOURS = """
import asyncio, os
from pathlib import Path
from mlserver_core import MLModel

HERE = Path(__file__).parent

async def wait_for(fact):
    while not fact():
        await asyncio.sleep(0.01)

class Ends(MLModel):
    async def load(self):
        (HERE / f"loading-{os.getpid()}").touch()
        await wait_for(lambda: (HERE / "end").exists() or (HERE / f"end-{os.getpid()}").exists())
        os._exit(7)

class Held(MLModel):
    async def load(self):
        before = len(list(HERE.glob(f"loading-{os.getpid()}-*")))
        (HERE / f"loading-{os.getpid()}-{before}").touch()
        await wait_for(lambda: not (HERE / f"hold-{before}").exists())
        return True

    async def predict(self, request):
        ...
"""


async def test_a_model_is_loaded_again_until_no_other_was_beside_it_that_may_be_to_blame(
    start, folder_model, tmp_path
):
    ends, held = tmp_path / "ends", tmp_path / "held"
    folder_model("ends", NEIGHBOURS, "models.Ends")
    folder_model("held", NEIGHBOURS, "models.Held")
    (held / "hold-0").touch()
    (held / "hold-1").touch()
    starting = asyncio.ensure_future(
        start(
            parallel_workers=2,
            load_models_at_startup=True,
            model_repository_root=str(tmp_path),
            on_load_error="serve",
        )
    )
    for folder in (ends, held):
        await until(lambda folder=folder: len(list(folder.glob("loading-*"))) == 2)
    first, second = sorted(int(path.name.split("-")[1]) for path in ends.glob("loading-*"))
    (ends / f"end-{first}").touch()
    await until(lambda: not is_alive(first))
    (held / "hold-0").unlink()  # its first load is over, and begins anew where the other one loads
    await until((held / f"loading-{second}-1").exists)
    (ends / "end").touch()
    await until(lambda: not is_alive(second))
    (held / "hold-1").unlink()
    engine = await starting
    # The other one may have ended the worker once more, for its own second try.
    await until(lambda: engine.model_ready("held"))
    assert not engine.model_ready("ends")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
