from __future__ import annotations

import pytest

RUNTIME = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Model(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[])
"""
IN_SERVER = "has no effect: the model runs in the server's own process, not in workers"


@pytest.fixture
def warnings(start, folder_model, caplog):
    """What the log warns of when a server starts with one model."""

    async def warn(model, **server):
        await start(folder_model("m", RUNTIME, **model), **server)
        return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]

    return warn


@pytest.mark.parametrize(
    ("name", "value"), [("inference_pool_gid", "a"), ("autogenerate_inference_pool_gid", True)]
)
async def test_a_pool_has_no_effect_without_workers(warnings, name, value):
    said = await warnings({"parameters": {name: value}})
    assert said == [f"Model 'm': parameters.{name} {IN_SERVER}"]


async def test_a_pool_has_no_effect_for_a_model_that_wants_no_worker(warnings):
    model = {"parameters": {"inference_pool_gid": "a"}, "parallel_workers": 0}
    said = await warnings(model, parallel_workers=1)
    assert said == [f"Model 'm': parameters.inference_pool_gid {IN_SERVER}"]


async def test_a_pool_of_workers_is_nothing_to_warn_of(warnings):
    model = {"parameters": {"inference_pool_gid": "a", "autogenerate_inference_pool_gid": True}}
    assert await warnings(model, parallel_workers=1) == []


@pytest.mark.parametrize("workers", [0, 1])
async def test_an_empty_name_of_a_pool_has_no_effect(warnings, workers):
    said = await warnings({"parameters": {"inference_pool_gid": ""}}, parallel_workers=workers)
    assert said == [
        "Model 'm': parameters.inference_pool_gid has no effect: it is empty; name a pool"
    ]


@pytest.mark.parametrize("workers", [0, 1])
async def test_the_cache_of_a_model_has_no_effect_without_the_servers(warnings, workers):
    said = await warnings({"cache_enabled": True}, parallel_workers=workers)
    assert said == ["Model 'm': cache_enabled has no effect: the server's cache_enabled is false"]


async def test_the_cache_of_a_server_has_no_effect_without_a_models(warnings):
    said = await warnings({}, cache_enabled=True)
    assert said == [
        "cache_enabled has no effect: no model has it in its model-settings.json as well"
    ]


async def test_a_cache_of_server_and_model_is_nothing_to_warn_of(warnings):
    assert await warnings({"cache_enabled": True}, cache_enabled=True, parallel_workers=1) == []


async def test_the_cache_of_a_server_that_has_no_model_yet_is_nothing_to_warn_of(start, caplog):
    await start(cache_enabled=True)
    assert "cache_enabled" not in caplog.text
