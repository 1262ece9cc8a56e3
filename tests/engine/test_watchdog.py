"""A blocked event loop is named in the log; most of it of real servers."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import signal
import threading
import time
import urllib.request
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from mlserver_core.engine.watchdog import LoopWatchdog

LONG = 30
MODELS = """
import asyncio
import time
from pathlib import Path
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

def hold():
    while not (Path(__file__).parent.parent / "go").exists():
        time.sleep(0.01)

class Blocks(MLModel):
    async def predict(self, payload):
        print("ENTERED", flush=True)
        hold()  # of Blocks
        return InferenceResponse(outputs=[])

class Streams(MLModel):
    async def predict_stream(self, payloads):
        async for payload in payloads:
            hold()  # of Streams
            yield InferenceResponse(outputs=[])

class Plain(MLModel):
    def predict(self, payload):
        print("ENTERED", flush=True)
        hold()  # of Plain
        return InferenceResponse(outputs=[])

class Behind(MLModel):
    async def predict(self, payload):
        asyncio.get_running_loop().call_soon(hold)
        await asyncio.sleep(0.01)
        return InferenceResponse(outputs=[])
"""
REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}
ADVICE = "async def code must not compute or wait; make it a plain def, which runs in a thread"


def line_of(implementation):
    found = [number for number, line in enumerate(MODELS.split("\n"), 1) if implementation in line]
    return found[-1]


@pytest.fixture
def start(serve, model_folder, tmp_path):
    """Starts a server whose model blocks until a file ``go`` is there."""

    def start_server(implementation, *arguments, **settings):
        model_folder("m", MODELS, implementation=f"models.{implementation}", **settings)
        return serve(tmp_path, *arguments)

    return start_server


@contextmanager
def asked(server, call="infer"):
    """Asks in a thread, and checks at the end that an answer came."""
    outcome = []

    def ask():
        url = f"{server.url}/v2/models/m/{call}"
        headers = {"Content-Type": "application/json"}
        sent = urllib.request.Request(url, json.dumps(REQUEST).encode(), headers)
        with urllib.request.urlopen(sent, timeout=LONG) as answer:
            outcome.append(answer.status)

    asking = threading.Thread(target=ask)
    asking.start()
    yield
    asking.join(LONG)
    assert outcome == [200]


async def test_watchdog_takes_any_time_to_wait(make_watchdog):
    dog = make_watchdog(seconds=math.inf)
    [thread] = threads()
    while not dog._turned.is_set():  # noqa: ASYNC110  # the thread waits next
        await asyncio.sleep(0.01)
    dog.stop()
    await asyncio.get_running_loop().run_in_executor(None, thread.join, LONG)
    assert not thread.is_alive()  # a thread that fails fails the test


@pytest.mark.parametrize(
    ("implementation", "call", "function", "executor", "more"),
    [
        ("Blocks", "infer", "predict", None, ""),
        ("Streams", "infer_stream", "predict_stream", None, ""),
        ("Plain", "infer", "predict", "inline", ', and leave out "executor": "inline"'),
    ],
)
def test_model_that_blocks_the_loop_is_named_with_its_function_and_line(
    start, tmp_path, implementation, call, function, executor, more
):
    server = start(implementation, "--set", "loop_lag_warning=0.2", executor=executor)
    with asked(server, call):
        line = server.wait_for("has blocked the event loop")
        (tmp_path / "go").touch()
    assert " - Model 'm' has blocked the event loop for " in line
    place = f"{function} (models.py:{line_of(f'# of {implementation}')})"
    assert line.endswith(f" s in {place}: {ADVICE}{more}")
    assert " - The event loop turns again, after " in server.wait_for("turns again")
    assert server.stop() == 0
    assert sum("has blocked" in each for each in server.lines) == 1


def test_blocked_loop_in_which_no_model_is_found_is_told_too(start, tmp_path):
    server = start("Behind", "--set", "loop_lag_warning=0.2")
    with asked(server):
        line = server.wait_for("has been blocked")
        (tmp_path / "go").touch()
    assert " - The event loop has been blocked for " in line
    assert line.endswith("; no model's code was found there")
    server.wait_for("turns again")


def test_watchdog_can_be_switched_off(start, tmp_path):
    server = start("Blocks", "--set", "loop_lag_warning=0")
    with asked(server):
        time.sleep(1.5)  # longer than the default
        (tmp_path / "go").touch()
    assert server.stop() == 0
    assert not any("blocked" in line for line in server.lines)


def test_server_answers_while_a_plain_predict_works(start, tmp_path):
    server = start("Plain", "--set", "loop_lag_warning=0.2")
    with asked(server):
        server.wait_for("ENTERED")
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/m/ready"):
            with urllib.request.urlopen(server.url + path, timeout=LONG) as answer:
                assert answer.status == 200
        (tmp_path / "go").touch()
    assert server.stop() == 0
    assert not any("blocked" in line for line in server.lines)


def test_process_that_was_stopped_raises_no_alarm(start):
    server = start("Blocks", "--set", "loop_lag_warning=0.5")
    for _ in range(3):
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        server.process.send_signal(signal.SIGCONT)
        with urllib.request.urlopen(server.url + "/v2/health/live", timeout=LONG) as answer:
            assert answer.status == 200
    assert server.stop() == 0
    assert [line for line in server.lines if "blocked" in line] == []


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "loop-watchdog"]


async def test_watchdog_ends_with_its_server(make_watchdog):
    dog = make_watchdog()
    [thread] = threads()
    assert thread.daemon
    dog.stop()
    await asyncio.get_running_loop().run_in_executor(None, thread.join, LONG)
    assert not thread.is_alive()


def test_watchdog_of_a_loop_that_is_closed_ends():
    async def start():
        LoopWatchdog(asyncio.get_running_loop(), "loop", 0.01).start()

    asyncio.run(start())
    for thread in threads():
        thread.join(LONG)
    assert threads() == []


async def test_blockade_that_lasts_is_told_again_and_not_with_every_look(make_watchdog, caplog):
    caplog.set_level("INFO", "mlserver")
    make_watchdog(again=0.2)
    while sum("has been blocked" in text for text in caplog.messages) < 3:
        time.sleep(0.01)  # noqa: ASYNC251  # what this is about
    told = [float(text.split(" for ")[1].split(" s ")[0]) for text in caplog.messages]
    assert told == sorted(told)
    assert told[-1] - told[0] >= 0.3


async def test_time_for_which_the_process_stood_still_does_not_count(
    make_watchdog, caplog, monkeypatch
):
    hours = itertools.count(step=3600.0)  # between any two looks, as if the machine had slept
    clock = SimpleNamespace(monotonic=lambda: next(hours))
    monkeypatch.setattr("mlserver_core.engine.watchdog.time", clock)
    make_watchdog()
    while not caplog.messages:
        time.sleep(0.01)  # noqa: ASYNC251  # what this is about
    assert "has been blocked for 0." in caplog.messages[0]


@pytest.fixture
def make_watchdog(monkeypatch):
    """Starts watchdogs of this loop, and waits for their end at the end."""
    dogs = []

    def make(again=10.0, seconds=0.05):
        monkeypatch.setattr("mlserver_core.engine.watchdog._AGAIN", again)
        dogs.append(LoopWatchdog(asyncio.get_running_loop(), "loop", seconds))
        dogs[-1].start()
        return dogs[-1]

    yield make
    for dog in dogs:
        dog.stop()
    for thread in threads():
        thread.join(LONG)
        assert not thread.is_alive()
