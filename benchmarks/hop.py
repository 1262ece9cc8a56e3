"""What a model costs that lives in a worker process, over one in the server's own process.

The same model is asked through the engine both ways, in turns, so that what else the machine does
meets both. Nothing of HTTP is in the figures. Beside them stands what a bare echo between two
processes costs, which no way to a worker can be below. Run it with ``--help`` for its options.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import mmap
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import bare_echo
import numpy as np

from mlserver_core import MLServer, ModelSettings, Settings
from mlserver_core.engine import main_loop
from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.types import InferenceRequest, RequestInput, TensorData
from mlserver_core.types.context import RequestContext

#: The two ways, and ``parallel_workers`` of each.
WAYS = {"in process": 0, "worker": 1}
#: What is asked: its name, the model, and the shape of its FP32 tensor.
CASES = (
    ("1x4, sum", "Sum", (1, 4)),
    ("1x4, echo", "Echo", (1, 4)),
    ("1x4, thread", "Plain", (1, 4)),
    ("4 MB, sum", "Sum", (1, 2**20)),
    ("4 MB, echo", "Echo", (1, 2**20)),
)
IN_FLIGHT = 32
SMALL = 1024


@attrs.frozen(kw_only=True)
class Times:
    """How long one way took.

    Attributes:
        p50: the median over all rounds of the round's median, in microseconds.
        p90: the same of the 90th percentile.
        cpu: microseconds of this process's processor for one call, the median over all rounds;
            none of the time in which others have the processor is in it.
        worker_cpu: the same of the worker's main thread; 0 where the system does not say.
    """

    p50: float
    p90: float
    cpu: float
    worker_cpu: float


@attrs.frozen
class Round:
    """One turn of one way: seconds of each call, and of processor in all."""

    times: list[float]
    cpu: float
    worker_cpu: float


@asynccontextmanager
async def serving() -> AsyncIterator[InferenceEngine]:
    """An engine with each model both ways, and no listeners."""
    plugins = PluginManager()
    plugins.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": "rest,grpc,metrics"})
    server = MLServer(Settings(load_models_at_startup=False), plugins=plugins)
    models = [
        ModelSettings(
            name=f"{model} {way}",
            implementation=f"models.{model}",
            executor="threads",
            parallel_workers=workers,
        )
        for model in ("Sum", "Echo", "Plain")
        for way, workers in WAYS.items()
    ]
    await server.startup(models)
    try:
        yield server.engine
    finally:
        await server.stop()


async def ask(engine: InferenceEngine, model: str, data: np.ndarray) -> None:
    """Asks once."""
    tensor = RequestInput(name="x", shape=list(data.shape), datatype="FP32", data=TensorData(data))
    request = InferenceRequest(id="benchmark", inputs=[tensor])
    await engine.infer(model, None, request, RequestContext())


async def time_calls(call: Callable[[], Any], count: int) -> Round:
    """What each of a number of calls took, one after the other."""
    times, cpu, worker_cpu = [], time.process_time(), children_cpu()
    for _ in range(count):
        start = time.perf_counter()
        await call()
        times.append(time.perf_counter() - start)
    return Round(times, time.process_time() - cpu, children_cpu() - worker_cpu)


def children_cpu() -> float:
    """Seconds of processor that the main threads of this process's children have had."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        return 0.0
    clocks = (Path(f"/proc/{pid}/schedstat") for pid in children.read_text().split())
    return sum(int(clock.read_text().split()[0]) for clock in clocks) / 1e9


async def compare(
    engine: InferenceEngine, model: str, shape: tuple[int, ...], rounds: int, calls: int
) -> dict[str, Times]:
    """Asks both ways in turns."""
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    asking = {way: partial(ask, engine, f"{model} {way}", data) for way in WAYS}
    for call in asking.values():
        await time_calls(call, calls // 4 + 1)
    taken: dict[str, list[Round]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, call in asking.items():
            taken[way].append(await time_calls(call, calls))
    return {way: to_times(each) for way, each in taken.items()}


def to_times(rounds: list[Round]) -> Times:
    """The median round, so that a round that something else disturbed counts for nothing."""

    def median(of: Callable[[Round], float]) -> float:
        return statistics.median(map(of, rounds)) * 1e6

    return Times(
        p50=median(lambda each: float(np.percentile(each.times, 50))),
        p90=median(lambda each: float(np.percentile(each.times, 90))),
        cpu=median(lambda each: each.cpu / len(each.times)),
        worker_cpu=median(lambda each: each.worker_cpu / len(each.times)),
    )


async def throughput(engine: InferenceEngine, model: str, count: int) -> float:
    """Requests per second of 1x4 with ``IN_FLIGHT`` under way."""
    data = np.ones((1, 4), np.float32)

    async def client() -> None:
        for _ in range(count // IN_FLIGHT + 1):
            await ask(engine, model, data)

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    return (count // IN_FLIGHT + 1) * IN_FLIGHT / (time.perf_counter() - start)


async def compare_throughput(engine: InferenceEngine, rounds: int, count: int) -> dict[str, float]:
    """The median round of each way."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, each in found.items():
            each.append(await throughput(engine, f"Sum {way}", count))
    return {way: statistics.median(each) for way, each in found.items()}


def time_copies(size: int, count: int) -> dict[str, float]:
    """Microseconds of a copy of so many bytes: to memory that is there, and to fresh memory,
    whose pages the system has to find and clear first.
    """
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)

    def fresh() -> None:
        with mmap.mmap(-1, size) as made:
            made[:] = memoryview(source)  # type: ignore[assignment]

    return {
        "copy": _median_time(lambda: np.copyto(target, source), count),
        "copy to fresh memory": _median_time(fresh, count),
    }


def _median_time(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


async def measure(rounds: int, calls: int) -> dict[str, Any]:
    """All figures: microseconds, and requests per second."""
    figures: dict[str, Any] = {}
    async with serving() as engine:
        for name, model, shape in CASES:
            few = calls if np.prod(shape) < SMALL else max(1, calls // 10)
            times = await compare(engine, model, shape, rounds, few)
            figures[name] = {way: attrs.asdict(each) for way, each in times.items()}
            figures[name]["overhead p50"] = times["worker"].p50 - times["in process"].p50
        figures["per second, 32 in flight"] = await compare_throughput(engine, rounds, calls * 4)
    figures["bare echo"] = {"p50": await bare_echo.measure(calls * 4)}
    figures["4 MB"] = time_copies(4 * 2**20, max(10, calls // 10))
    return figures


def show(figures: dict[str, Any]) -> None:
    """Prints a table, and everything as one line of JSON."""
    heads = ("in process", "p90", "worker", "p90", "p50 more", "its cpu", "server's more")
    print(f"{'microseconds':<14}" + "".join(f"{head:>14}" for head in heads))
    for name, _, _ in CASES:
        case = figures[name]
        cells = [case[way][each] for way in WAYS for each in ("p50", "p90")]
        server = case["worker"]["cpu"] - case["in process"]["cpu"]
        cells += [case["overhead p50"], case["worker"]["worker_cpu"], server]
        print(f"{name:<14}" + "".join(f"{each:>14.1f}" for each in cells))
    floor = figures["bare echo"]["p50"]
    ratio = figures[CASES[0][0]]["overhead p50"] / floor
    print(f"bare echo: p50 {floor:.1f}; a worker costs {ratio:.1f} times that for {CASES[0][0]}")
    for name in ("per second, 32 in flight", "4 MB"):
        print(
            f"{name}: " + ", ".join(f"{key} {value:,.0f}" for key, value in figures[name].items())
        )
    print(json.dumps(figures))


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each way (%(default)s)")
    parser.add_argument(
        "--calls", type=int, default=500, help="calls of a turn; a tenth for 4 MB (%(default)s)"
    )
    options = parser.parse_args()

    async def run() -> None:
        show(await measure(options.rounds, options.calls))

    main_loop.run(run())


if __name__ == "__main__":
    main()
