from __future__ import annotations

import json
import socket
import subprocess

import pytest

from mlserver_core.executors.processes.frames import PROTOCOL, Kind
from mlserver_core.executors.processes.greeting import make_hello, make_init
from mlserver_core.settings import Settings

MODEL = """
import json
import logging
import pathlib
import sys

from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput

class Model(MLModel):
    async def predict(self, payload):
        print("printed")
        output = ResponseOutput(name="y", shape=[1], datatype="BYTES",
                                data=[json.dumps([list(sys.modules), sys.path])])
        return InferenceResponse(outputs=[output])

    def unload(self):
        pathlib.Path(__file__).with_name("unloaded").touch()
        logging.getLogger("mlserver").info("last words")
        raise ValueError("an unload that fails")
"""


async def test_stop_unloads_the_models_sends_the_last_words_and_ends_with_0(
    start_worker, folder_model, tmp_path
):
    worker = await start_worker()
    for generation, name in enumerate(("one", "two"), 1):
        await worker.load(folder_model(name, MODEL), generation)
    worker.connection.send(Kind.STOP, 0, None)
    assert await worker.wait() == 0
    await worker.closed.wait()
    assert all((tmp_path / name / "unloaded").exists() for name in ("one", "two"))
    messages = [frame.body["message"] for frame in worker.news if frame.kind is Kind.LOG]
    assert messages.count("last words") == 2
    assert sum("failed to unload" in message for message in messages) == 2


STUCK = """
import threading
from mlserver_core import MLModel

class Model(MLModel):
    def predict(self, payload):
        self.logger().info("begun")
        threading.Event().wait()

    def logger(self):
        import logging
        return logging.getLogger("mlserver")
"""


async def test_stop_ends_a_worker_whose_model_never_returns(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", STUCK))
    worker.begin_predict(1.0)
    await worker.logged("begun")
    worker.connection.send(Kind.STOP, 0, None)
    assert await worker.wait() == 0


async def test_worker_imports_no_server_and_prints_where_its_server_does(
    begin_worker, folder_model, tmp_path
):
    with (tmp_path / "printed").open("w") as printed:
        worker = await begin_worker({"PYTHONUNBUFFERED": "1"}, stdout=printed)
        worker.connection.send(Kind.INIT, 0, make_init(Settings(), {}))
        await worker.load(folder_model("m", MODEL))
        response = await worker.predict(1.0)
    modules, _ = json.loads(response.outputs[0].data[0])
    heavy = {"aiohttp", "grpclib", "betterproto", "google.protobuf", "prometheus_client", "pandas"}
    heavy.add("mlserver_core.executors.processes.pools")  # it has no workers of its own
    assert heavy.isdisjoint(modules)
    assert (tmp_path / "printed").read_text() == "printed\n"


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: x\r\nMore: text\r\n\r\n", b"\xa3\xf7"])
async def test_what_is_no_frame_ends_it(begin_worker, tmp_path, sent):
    ours, theirs = socket.socketpair()
    with (tmp_path / "errors").open("w") as errors:
        worker = await begin_worker(stderr=errors, frames=(ours, theirs))
        ours.send(sent)
        ours.shutdown(socket.SHUT_WR)
        assert await worker.wait() == 1
    ours.close()
    assert "ends: " in (tmp_path / "errors").read_text()


@pytest.mark.parametrize("kind", [Kind.PREDICT, Kind.RESULT])
async def test_frame_that_comes_too_early_or_from_no_server_ends_it(begin_worker, tmp_path, kind):
    with (tmp_path / "errors").open("w") as errors:
        worker = await begin_worker(stderr=errors)
        if kind is Kind.RESULT:
            worker.connection.send(Kind.INIT, 0, make_init(Settings(), {}))
        worker.connection.send(kind, 1, {})
        assert await worker.wait() == 1
    assert f"got {kind.name}" in (tmp_path / "errors").read_text()


async def test_plugin_that_cannot_be_loaded_ends_it_and_says_why(begin_worker, tmp_path):
    plugin = tmp_path / "broken-1.0.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (plugin / "entry_points.txt").write_text("[mlserver_core]\nbroken = nowhere_to_be_found\n")
    import os

    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with (tmp_path / "errors").open("w") as errors:
        worker = await begin_worker({"PYTHONPATH": path}, stderr=errors)
        worker.connection.send(Kind.INIT, 0, make_init(Settings(), {}))
        assert await worker.wait() == 1
    assert "plugin 'broken'" in (tmp_path / "errors").read_text()


async def test_it_says_what_it_speaks_to_a_server_of_another_release_and_does_nothing_for_it(
    begin_worker,
):
    worker = await begin_worker(stderr=subprocess.DEVNULL)
    init = {"protocol": PROTOCOL + 1, "version": "9.9", "words": b"not for it", "more": [None]}
    worker.connection.send(Kind.INIT, 0, init)
    hello = await worker.heard(Kind.HELLO)
    assert hello == make_hello(worker.process.pid)
    assert hello["protocol"] == PROTOCOL
    worker.connection.send(Kind.LOAD, 1, {"generation": 1})
    assert await worker.wait() == 1
