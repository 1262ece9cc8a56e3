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
VERSION = 1


def note(name):
    (HERE / f"{name}.part-{os.getpid()}").write_text(str(os.getpid()))
    (HERE / f"{name}.part-{os.getpid()}").rename(HERE / name)


def answer(payload):
    x = np.asarray(payload.inputs[0].data)
    rows = np.full(x.shape[:1], os.getpid())
    found = {"y": x * 2, "pid": rows, "version": np.full(x.shape[:1], VERSION)}
    return InferenceResponse(
        outputs=[
            ResponseOutput(
                name=name, shape=list(data.shape), datatype="FP64" if name == "y" else "INT64",
                data=data,
            )
            for name, data in found.items()
        ]
    )


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


WAYS = {
    "limit": limit,
    "double": lambda: None,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "exit": lambda: os._exit(0),
    "sys_exit": lambda: sys.exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "allocate": allocate,
}


def names(payload):
    """What to do, and the files to tell of it."""
    return payload.inputs[0].name, f"began-{payload.id}", f"go-{payload.id}", f"left-{payload.id}"


class Model(MLModel):
    async def load(self):
        note(f"loading-{os.getpid()}")
        if (HERE / "hang").exists():
            while (HERE / "hang").exists():
                await asyncio.sleep(0.01)
        if (HERE / "end").exists():
            os._exit(3)
        if (HERE / "fail").exists():
            raise ValueError("no weights")
        if (HERE / "false").exists():
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
        return answer(payload)


class Looped(Model):
    async def predict(self, payload):
        how, began, go, left = names(payload)
        if how == "wait":
            note(began)
            try:
                while not (HERE / go).exists():
                    await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                note(left)
                raise
        elif how == "hang":
            note(began)
            while not (HERE / go).exists():
                time.sleep(0.01)
        else:
            WAYS[how]()
        return answer(payload)

    async def predict_stream(self, payloads):
        async for payload in payloads:
            _, began, go, left = names(payload)
            note(began)
            with contextlib.ExitStack() as stack:
                stack.callback(note, left)
                while not (HERE / go).exists():
                    yield answer(payload)
                    await asyncio.sleep(0.001)
