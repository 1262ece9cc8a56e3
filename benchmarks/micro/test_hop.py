"""The hop to a worker process and back. ``benchmarks/hop.py`` has it with the engine around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tensors import make_array, make_request

from mlserver_core import ModelSettings, Settings
from mlserver_core.executors.interfaces import ModelSource
from mlserver_core.executors.processes.executor import ProcessesExecutor
from mlserver_core.executors.processes.pools import Pools
from mlserver_core.types import InferenceRequest, InferenceResponse

CALLS = 10
SHAPES = {"1x4": (1, 4), "64 kB": (1, 2**14), "4 MB": (1, 2**20)}


@pytest.fixture(scope="module")
def executor(run: Any) -> Iterator[ProcessesExecutor]:
    """A model that answers what came, in a process of its own."""
    settings = ModelSettings(name="echo", implementation="models.Echo")

    async def load() -> ProcessesExecutor:
        made = Pools(Settings(parallel_workers=1)).executor(settings)
        await made.load(ModelSource(settings=settings, make=lambda: None))
        return made

    loaded = run(load())
    yield loaded
    run(loaded.unload())
    run(loaded.close())


@pytest.mark.parametrize("shape", SHAPES)
def test_predict(benchmark: Any, run: Any, executor: ProcessesExecutor, shape: str) -> None:
    """A tensor there and back."""
    benchmark.group = f"worker hop: {CALLS} calls, one after the other"
    data = make_array(SHAPES[shape])

    def prepare() -> tuple[Any, dict[str, Any]]:
        return ([make_request(data, SHAPES[shape]) for _ in range(CALLS)],), {}

    async def ask(requests: list[InferenceRequest]) -> InferenceResponse:
        for request in requests:
            response = await executor.predict(request)
        return response

    answer = benchmark.pedantic(
        lambda requests: run(ask(requests)), setup=prepare, rounds=50, warmup_rounds=3
    )
    assert np.array_equal(np.asarray(answer.outputs[0].data.root), data)
