from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys

import pytest

MODEL = """
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time

from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput


class Model(MLModel):
    async def predict(self, payload):
        return self.act(payload.id)

    def act(self, what):
        if what == "loop":
            logging.getLogger("mlserver").info("begun")
            while True:
                pass
        if what == "limits":
            return self.answer(resource.getrlimit(resource.RLIMIT_NOFILE))
        if what == "child":
            code = "import os, signal; print([os.listdir('/proc/self/fd'), " \\
                   "signal.getsignal(signal.SIGTERM) is signal.SIG_DFL])"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            return self.answer(done.stdout.replace("'", '"').replace("True", "true"))
        if what == "fork":
            return self.fork()
        return self.answer("here")

    def fork(self):
        pid = os.fork()
        if pid == 0:  # lives on until somebody ends it
            signal.pause()
            os._exit(0)
        return self.answer(pid)

    def answer(self, value):
        text = value if isinstance(value, str) and value[:1] == "[" else json.dumps(value)
        output = ResponseOutput(name="y", shape=[1], datatype="BYTES", data=[text])
        return InferenceResponse(outputs=[output])


class Threaded(Model):
    def predict(self, payload):
        return self.act(payload.id)
"""


async def ask(worker, id):
    return json.loads((await worker.predict(1.0, id=id)).outputs[0].data[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
async def test_only_the_server_stops_it(start_worker, folder_model, number):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    worker.process.send_signal(number)
    assert await ask(worker, "here") == "here"


async def test_beats_come_while_a_model_holds_up_the_event_loop(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    worker.begin_predict(1.0, id="loop")
    await worker.logged("begun")
    worker.heartbeat.settimeout(30)
    worker.heartbeat.recv(4096)
    assert worker.heartbeat.recv(1)


@pytest.mark.parametrize(
    ("implementation", "closed"),
    [
        ("models.Model", "heartbeat"),
        ("models.Threaded", "heartbeat"),
        ("models.Threaded", "frames"),  # nobody reads them where the event loop is held up
    ],
)
async def test_it_ends_when_its_server_is_gone_whatever_its_model_does(
    start_worker, folder_model, implementation, closed
):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL, implementation))
    worker.begin_predict(1.0, id="loop")
    await worker.logged("begun")
    if closed == "heartbeat":
        worker.heartbeat.close()
    else:
        worker.connection.close()
    assert await worker.wait() == 1


START = """
import os, signal, socket, subprocess, sys
frames, heartbeat = socket.socketpair(), socket.socketpair()
worker = subprocess.Popen(
    [sys.executable, "-m", "mlserver_core.worker", str(frames[1].fileno()),
     str(heartbeat[1].fileno())], pass_fds=(frames[1].fileno(), heartbeat[1].fileno()))
heartbeat[0].recv(1)
print(worker.pid, flush=True)
if sys.argv[1] == "stopped":
    os.kill(worker.pid, signal.SIGSTOP)
    print("stopped", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a process that is stopped needs Linux")
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_nothing_is_left_when_the_server_is_killed(state):
    server = subprocess.Popen(
        [sys.executable, "-c", START, state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        pid = int(server.stdout.readline())
        if state == "stopped":
            assert server.stdout.readline() == "stopped\n"
        descriptor = os.pidfd_open(pid)
        server.kill()
    ended, _, _ = select.select([descriptor], [], [], 30)
    os.close(descriptor)
    assert ended


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_programs_of_a_model_have_no_sockets_of_ours_and_can_be_stopped(
    start_worker, folder_model
):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    descriptors, is_default = await ask(worker, "child")
    assert (set(descriptors) - {"0", "1", "2", "3", "251"}, is_default) == (set(), True)


@pytest.mark.skipif(sys.platform != "linux", reason="a process descriptor needs Linux")
async def test_forked_process_of_a_model_holds_no_socket_of_ours_and_can_be_stopped(
    start_worker, folder_model
):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    forked = os.pidfd_open(await ask(worker, "fork"))
    try:
        worker.process.kill()
        await asyncio.wait_for(worker.closed.wait(), 30)
        worker.heartbeat.settimeout(30)
        while worker.heartbeat.recv(4096):
            pass
        signal.pidfd_send_signal(forked, signal.SIGTERM)
        assert select.select([forked], [], [], 30)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(forked, signal.SIGKILL)
        os.close(forked)


async def test_it_may_open_as_many_files_as_the_system_allows(start_worker, folder_model):
    worker = await start_worker()
    await worker.load(folder_model("m", MODEL))
    soft, hard = await ask(worker, "limits")
    assert soft == hard
