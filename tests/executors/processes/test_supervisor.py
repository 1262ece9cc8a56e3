"""Workers that cannot be started, or that are ended while they are."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

import pytest

from mlserver_core.errors import StartupError
from mlserver_core.executors.processes.greeting import make_init
from mlserver_core.executors.processes.interpreter import ServerPython
from mlserver_core.executors.processes.process import WorkerProcess
from mlserver_core.settings import Settings

MODEL = """
from mlserver_core import MLModel

class Model(MLModel):
    pass
"""


@pytest.mark.parametrize(
    ("settings", "executable", "text"),
    [
        ({"logging_settings": {"x": object()}}, sys.executable, "settings.logging_settings.x"),
        ({}, "/nowhere/python", "No such file or directory"),
        ({}, None, "it cannot be started"),
    ],
)
async def test_a_load_says_why_no_worker_can_be_started(
    start, folder_model, monkeypatch, settings, executable, text
):
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(StartupError, match="no worker process can be started") as caught:
        await start(folder_model("m", MODEL), parallel_workers=1, **settings)
    assert text in str(caught.value)


async def test_a_worker_that_is_ended_while_it_is_started_ends():
    worker = WorkerProcess(1, lambda *_: None, lambda _: None)
    command = partial(ServerPython().command, Settings())
    starting = asyncio.ensure_future(worker.start(command, {}, make_init(Settings(), {})))
    await asyncio.sleep(0)
    worker.kill("the server stops")
    await starting
    assert await worker.wait() == "the server stops"
