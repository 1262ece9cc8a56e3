"""The batcher: what it costs to merge requests, and to leave them alone."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from tensors import make_array, make_request

from mlserver_core.engine.batching.adaptive import batched
from mlserver_core.metrics.custom import ModelMetrics
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput, TensorData
from mlserver_core.types.context import RequestContext

REQUESTS = 32
SHAPES = {"1x4": (1, 4), "1x1024": (1, 1024)}
#: The settings with which 32 requests at once are merged into one call; are each asked at once,
#: since the model has a place for all; have as many rows as a batch may; and without batching.
WAYS = {
    "merged": ({"max_batch_size": REQUESTS, "batch_when_idle": False}, 1, 1),
    "alone": ({"max_batch_size": REQUESTS}, REQUESTS, 1),
    "whole": ({"max_batch_size": 2, "batch_when_idle": False}, 1, 2),
    "off": ({"max_batch_size": 0, "max_batch_time": 0}, 1, 1),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_infer(benchmark: Any, run: Any, way: str, shape: str) -> None:
    """In front of a function that answers at once with what came."""
    benchmark.group = f"batcher: {REQUESTS} requests of {shape} FP32 at once"
    calls = 0
    changes, slots, rows = WAYS[way]

    async def echo(request: InferenceRequest, _: RequestContext) -> InferenceResponse:
        nonlocal calls
        calls += 1
        tensor = request.inputs[0]
        output = ResponseOutput(
            name="y", shape=tensor.shape, datatype="FP32", data=TensorData(tensor.data.root)
        )
        return InferenceResponse(model_name="m", id=request.id, outputs=[output])

    settings = ModelSettings(name="m", implementation="m.M", **{"max_batch_time": 60, **changes})
    infer = batched(echo, settings, ModelMetrics(), slots)
    full = (rows, *SHAPES[shape][1:])
    data = [make_array(full) + number for number in range(REQUESTS)]

    def prepare() -> tuple[Any, dict[str, Any]]:
        return ([make_request(each, full) for each in data],), {}

    async def ask(requests: list[InferenceRequest]) -> list[InferenceResponse]:
        return await asyncio.gather(*(infer(each, RequestContext()) for each in requests))

    answers = benchmark.pedantic(
        lambda requests: run(ask(requests)), setup=prepare, rounds=200, warmup_rounds=3
    )
    for answer, expected in zip(answers, data, strict=True):
        assert np.array_equal(np.asarray(answer.outputs[0].data.root).reshape(full), expected)
    calls = 0
    run(ask(prepare()[0][0]))
    assert calls == (1 if way == "merged" else REQUESTS)
