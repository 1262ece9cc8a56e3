from __future__ import annotations

import logging

import pytest

from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.model import MLModel
from mlserver_core.server import MLServer
from mlserver_core.settings import ModelSettings, Settings


@pytest.fixture
def messages(caplog):
    """Runs a server without listeners from start to stop; returns what it logged."""

    async def run(*models, **settings):
        plugins = PluginManager()
        plugins.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": "rest,grpc,metrics"})
        values = {"load_models_at_startup": False, **settings}
        caplog.set_level(logging.INFO, "mlserver")
        async with MLServer(Settings(**values), plugins=plugins) as server:
            await server.engine.models.load_all(models)
        return [record.getMessage() for record in caplog.records]

    return run


async def test_models_are_logged_with_their_versions_when_they_load_and_unload(messages):
    one = ModelSettings(name="a", implementation=MLModel)
    two = ModelSettings(name="b", implementation=MLModel, parameters={"version": "2"})
    logged = await messages(one, two)
    for line in ("Loaded model a", "Unloaded model a"):
        assert line in logged
    for line in ("Loaded model b with version 2", "Unloaded model b with version 2"):
        assert line in logged


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)]
)
async def test_a_server_only_this_machine_can_reach_says_how_to_open_it(messages, host, shown):
    text = "\n".join(await messages(host=host))
    assert ("MLSERVER_HOST=0.0.0.0" in text) is shown


async def test_a_stop_says_what_it_waits_for(messages):
    assert "Stopping; 0 request(s) in flight" in await messages()
