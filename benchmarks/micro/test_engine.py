"""The engine: from a request to its answer, with the middlewares and metrics that are on by
default, and without a transport.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tensors import make_array, make_request

from mlserver_core import MLServer, ModelSettings, Settings
from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.types.context import RequestContext

REQUESTS = 100
#: ``async def`` on the event loop, and a plain ``def`` in a thread.
MODELS = {"inline": "models.Echo", "threads": "models.Plain"}
SHAPES = {"1x4": (1, 4), "128x128": (128, 128)}
HEADERS = {"host": "localhost:8080", "content-type": "application/json", "user-agent": "bench/1"}


@pytest.fixture(scope="module")
def engine(run: Any) -> Iterator[InferenceEngine]:
    """Set up by a server, whose listeners are switched off."""
    plugins = PluginManager()
    plugins.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": "rest,grpc,metrics"})
    server = MLServer(Settings(load_models_at_startup=False, parallel_workers=0), plugins=plugins)
    models = [ModelSettings(name=name, implementation=path) for name, path in MODELS.items()]
    run(server.startup(models))
    assert server.engine.metrics is not None
    yield server.engine
    run(server.stop())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("origin", ["json", "grpc"])
@pytest.mark.parametrize("shape", SHAPES)
def test_infer(
    benchmark: Any,
    run: Any,
    engine: InferenceEngine,
    model: str,
    origin: str,
    shape: str,
) -> None:
    """Requests with a list of numbers, as JSON brings them, or with an array, as gRPC does."""
    benchmark.group = f"engine: {REQUESTS} requests of {shape} FP32, one after the other"
    data = make_array(SHAPES[shape])
    came = data.ravel().tolist() if origin == "json" else data.ravel()

    def prepare() -> tuple[Any, dict[str, Any]]:
        return ([make_request(came, SHAPES[shape]) for _ in range(REQUESTS)],), {}

    async def ask(requests: list[InferenceRequest]) -> InferenceResponse:
        for request in requests:
            context = RequestContext(transport="rest", headers=HEADERS)
            response = await engine.infer(model, None, request, context)
        return response

    answer = benchmark.pedantic(
        lambda requests: run(ask(requests)), setup=prepare, rounds=50, warmup_rounds=3
    )
    assert answer.id == "benchmark"
    assert answer.model_name == model
    assert answer.parameters.headers["Ce-Requestid"] == "benchmark"
    assert np.array_equal(np.ravel(answer.outputs[0].data.root), data.ravel())
