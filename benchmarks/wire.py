"""Measures what it costs to ask another process: the median of an echo, in microseconds.

Run it as ``python benchmarks/wire.py``; parent and child have a uvloop each.
"""

import asyncio
import socket
import statistics
import subprocess
import sys
import time

import numpy as np
import uvloop

from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import Frame, Kind
from mlserver_core.types import InferenceRequest, InferenceResponse, RequestInput, ResponseOutput
from mlserver_core.types.context import RequestContext

CASES = {"1x4 FP32": ((1, 4), 5000), "4 MB FP32": ((1024, 1024), 300)}
HEADERS = {"host": "localhost:8080", "content-type": "application/json", "user-agent": "wire/1"}


def make_call(shape: tuple[int, ...]) -> dict[str, object]:
    """A call as the server sends it to a worker."""
    data = np.zeros(shape, np.float32)
    tensor = RequestInput(name="x", shape=list(shape), datatype="FP32", data=data)
    request = InferenceRequest(id="1", parameters={"headers": dict(HEADERS)}, inputs=[tensor])
    context = RequestContext(transport="rest", headers=HEADERS, deadline=time.monotonic() + 60)
    return {"generation": 1, "request": request, "context": context}


def answer(frame: Frame) -> InferenceResponse:
    """The tensor of a call, as a worker sends it back."""
    tensor = frame.body["request"].inputs[0]
    output = ResponseOutput(name="y", shape=tensor.shape, datatype="FP32", data=tensor.data)
    return InferenceResponse(model_name="echo", outputs=[output])


async def serve(descriptor: int) -> None:
    """Answers until the parent closes its end."""
    closed = asyncio.get_running_loop().create_future()
    connection = Connection(
        socket.socket(fileno=descriptor),
        lambda frame: connection.send(Kind.RESULT, frame.call, answer(frame)),
        closed.set_result,
    )
    await closed


async def measure() -> None:
    """Prints the median of each case."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, __file__, str(theirs.fileno())]
    with theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as child:
        theirs.close()
        answers: asyncio.Queue[Frame] = asyncio.Queue()
        connection = Connection(ours, answers.put_nowait, lambda _: None)
        for name, (shape, rounds) in CASES.items():
            times = []
            for number in range(rounds):
                body = make_call(shape)
                start = time.perf_counter()
                connection.send(Kind.PREDICT, number, body)
                await answers.get()
                times.append(time.perf_counter() - start)
            print(f"{name}: p50 {statistics.median(times) * 1e6:.0f} us")
        connection.close()
        child.wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])) if sys.argv[1:] else measure())
