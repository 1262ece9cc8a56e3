"""Models that do what the name of the first input says. They write what they have done into files
beside this one, which tests wait for, and wait for files that tests write.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput
from mlserver_core.types.context import request_context

HERE = Path(__file__).parent


def note(name):
    (HERE / f"{name}.part-{os.getpid()}").write_text(str(os.getpid()))
    (HERE / f"{name}.part-{os.getpid()}").rename(HERE / name)


def answer(model, payload):
    if told(model).get("log"):
        with (HERE / f"answered-{os.getpid()}").open("a") as log:
            log.write(f"{float(np.ravel(payload.inputs[0].data)[0])}\n")
    x = np.ravel(payload.inputs[0].data)
    facts = {"pid": os.getpid(), "number": told(model).get("number", 1)}
    outputs = [ResponseOutput(name="y", shape=[len(x), 1], datatype="FP64", data=x * 2)]
    for name, fact in facts.items():
        data = np.full(len(x), fact)
        outputs.append(ResponseOutput(name=name, shape=[len(x), 1], datatype="INT64", data=data))
    return InferenceResponse(outputs=outputs)


def told(model):
    """What the settings of a model say besides."""
    parameters = model.settings.parameters
    return parameters.extra or {} if parameters else {}


def allocate():
    """Asks for more than this process may have, as a model does that has grown too large."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**28, resource.RLIM_INFINITY))
    try:
        np.ones(2**40)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)


def limit():
    """From now on this process gets hardly any more memory."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**22, resource.RLIM_INFINITY))


def leak():
    """Takes all memory there is, to the last kilobyte, as if it had leaked."""
    limit()
    for size in (2**20, 2**16, 2**10):
        with contextlib.suppress(MemoryError):
            while True:
                LEAKED.append(bytes(size))


LEAKED = []
WAYS = {
    "limit": limit,
    "leak": leak,
    "double": lambda: None,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "exit": lambda: os._exit(0),
    "sys_exit": lambda: sys.exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "allocate": allocate,
}


def names(payload):
    """What to do, and the files to tell of it; those of a batch are named by its last row."""
    how, rows = payload.inputs[0].name, np.ravel(payload.inputs[0].data)
    if how == "double unless negative":
        how = "killed" if rows.min() < 0 else "double"
    id = payload.id if len(rows) == 1 else f"batch-{int(rows[-1])}"
    return how, f"began-{id}", f"go-{id}", f"left-{id}"


class Model(MLModel):
    async def load(self):
        note(f"loading-{os.getpid()}")
        while (HERE / "hold").exists():  # noqa: ASYNC110  # it is written by another process
            await asyncio.sleep(0.01)
        how = told(self).get("load")
        if how == "ends":
            os._exit(3)
        if how == "fails":
            raise ValueError("no weights")
        if how == "is false":
            return False
        note(f"loaded-{os.getpid()}")
        return True


class Threaded(Model):
    def predict(self, payload):
        how, began, go, left = names(payload)
        if how == "wait":
            note(began)
            while not (HERE / go).exists():
                if request_context().cancelled:
                    note(left)
                    break
                time.sleep(0.01)
        elif how == "hang":  # and never looks whether anybody waits
            note(began)
            while not (HERE / go).exists():
                time.sleep(0.01)
        else:
            WAYS[how]()
        return answer(self, payload)


class Looped(Model):
    async def predict(self, payload):
        how, began, go, left = names(payload)
        if how == "wait":
            note(began)
            try:
                while not (HERE / go).exists():  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                note(left)
                raise
        elif how == "hang":
            note(began)
            while not (HERE / go).exists():
                time.sleep(0.01)  # noqa: ASYNC251  # it holds up the event loop
        else:
            WAYS[how]()
        return answer(self, payload)

    async def predict_stream(self, payloads):
        with contextlib.ExitStack() as stack:
            async for payload in payloads:
                how, began, go, left = names(payload)
                stack.callback(note, left)
                note(began)
                while how == "hang" and not (HERE / go).exists():
                    time.sleep(0.01)  # noqa: ASYNC251  # it holds up the event loop
                while how == "flow" and not (HERE / go).exists():
                    yield answer(self, payload)
                    await asyncio.sleep(0)
                yield answer(self, payload)
