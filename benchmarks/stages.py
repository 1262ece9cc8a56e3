"""What each stage of a small REST request costs, in the server's own process.

The bytes of a request go into a connection of the REST listener, and the bytes of the answer come
out of it, without a socket: what is left out is what the system takes for those. Each stage is
timed from its beginning to its end, what it calls included; the table has what the shortest tenth
of the times is not above, since others use the processor too.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib
import inspect
import os
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import orjson
import uvloop

sys.path.insert(0, str(Path(__file__).parent))
import models

from mlserver_core import MLServer, ModelSettings, Settings

#: Module and function of each stage, with how deep it is inside the one before.
STAGES = (
    (0, "mlserver_core.rest.fast_path:FastPath.handle", "the request, behind aiohttp"),
    (1, "mlserver_core.rest.fast_path:read_headers", "its headers"),
    (1, "mlserver_core.rest.fast_path:decode_request", "JSON to types"),
    (1, "mlserver_core.rest.fast_path:make_request_id", "its id"),
    (1, "mlserver_core.engine.engine:InferenceEngine.infer", "the engine"),
    (2, "mlserver_core.engine.work:admit", "checks, tensors to arrays"),
    (2, "mlserver_core.middlewares.cloudevents:_add", "headers of CloudEvents, twice"),
    (2, "mlserver_core.executors.threads:ThreadsExecutor.predict", "the executor"),
    (3, "models:Sum.predict", "the model"),
    (2, "mlserver_core.engine.pipeline:seal", "checks of the answer"),
    (1, "mlserver_core.rest.fast_path:to_answer", "types to JSON and headers"),
    (0, "mlserver_core.rest.fast_path:_Written.write_eof", "writing"),
)
_BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}


class Transport(asyncio.Transport):
    """Takes what a connection writes, and tells when it has."""

    def __init__(self) -> None:
        super().__init__()
        self.written: asyncio.Future[bytes] | None = None

    def write(self, data: Any) -> None:
        """The end of an answer."""
        if self.written is not None and not self.written.done():
            self.written.set_result(bytes(data))

    def is_closing(self) -> bool:
        """It stays open."""
        return False

    def pause_reading(self) -> None:
        """Nothing comes before it is asked for."""

    def resume_reading(self) -> None:
        """Nothing comes before it is asked for."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    options = parser.parse_args()
    uvloop.run(measure(options.requests))


async def measure(requests: int) -> None:
    """Gives a server so many requests, and then another one that looks at its stages."""
    ask = await start()
    whole = [await ask() for _ in range(requests)]
    times: dict[str, list[int]] = defaultdict(list)
    for _, path, _ in STAGES:
        time_calls(path, times[path])
    ask = await start()
    for each in times.values():
        each.clear()
    for _ in range(requests):
        await ask()
    print(f"{_short(whole):7.1f} us  from bytes to bytes")
    for depth, path, text in STAGES:
        calls = round(len(times[path]) / requests)
        name = path.rpartition(":")[2]
        print(f"{_short(times[path]) * calls:7.1f} us  {'  ' * depth}{text}: {name}")
    sys.stdout.flush()
    os._exit(0)  # the servers need no end


async def start() -> Callable[[], Awaitable[int]]:
    """Starts a server with one model and opens a connection; what comes back asks on it, and
    returns how many nanoseconds that took.
    """
    ports = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    settings = Settings(host="127.0.0.1", parallel_workers=0, load_models_at_startup=False, **ports)
    server = MLServer(settings)
    await server.startup([ModelSettings(name="Sum", implementation=models.Sum)])
    rest: Any = server.transports["rest"]
    connection, transport = rest._runner.server(), Transport()  # noqa: SLF001  # no way in but this
    connection.connection_made(transport)
    await asyncio.sleep(0)
    body = orjson.dumps(_BODY)
    head = (
        "POST /v2/models/Sum/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    sent = head.encode() + body
    loop = asyncio.get_running_loop()

    async def ask() -> int:
        transport.written = loop.create_future()
        begun = time.perf_counter_ns()
        connection.data_received(sent)
        answer = await transport.written
        taken = time.perf_counter_ns() - begun
        if b'"data":[10.0]' not in answer:
            raise SystemExit(f"a wrong answer: {answer!r}")
        return taken

    for _ in range(200):
        await ask()
    return ask


def time_calls(path: str, times: list[int]) -> None:
    """Has the nanoseconds of every call of a function noted; ``path`` is ``MODULE:NAME``."""
    module, _, name = path.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, last = name.split(".")
    for each in classes:
        owner = getattr(owner, each)
    function = getattr(owner, last)
    now = time.perf_counter_ns

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def timed(*arguments: Any, **options: Any) -> Any:
            begun = now()
            try:
                return await function(*arguments, **options)
            finally:
                times.append(now() - begun)

    else:

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            begun = now()
            try:
                return function(*arguments, **options)
            finally:
                times.append(now() - begun)

    setattr(owner, last, timed)


def _short(times: list[int]) -> float:
    """Microseconds that a tenth of the times are not above."""
    return quantiles(times, n=10)[0] / 1000 if len(times) > 1 else 0.0


if __name__ == "__main__":
    main()
