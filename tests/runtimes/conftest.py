"""Engines of real servers without listeners, and model folders for them."""

from __future__ import annotations

import json
import textwrap

import pytest

from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.server import MLServer
from mlserver_core.settings import Settings
from mlserver_core.settings.loading import load_model_settings
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext


@pytest.fixture
def write(tmp_path):
    """Writes a file below the test's own folder."""

    def write_file(path, text=""):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    return write_file


@pytest.fixture
def folder_model(write):
    """Writes a model folder and reads its settings, as a repository does."""

    def make(name, code, implementation="models.Model", **settings):
        write(f"{name}/models.py", code)
        values = {"implementation": implementation, **settings}
        path = write(f"{name}/model-settings.json", json.dumps(values))
        return load_model_settings(path, {}).value

    return make


@pytest.fixture
async def start():
    """Starts servers that have every built-in plugin but the transports."""
    servers = []

    async def start_server(*models, plugin=None, **settings):
        plugins = PluginManager()
        plugins.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": "rest,grpc"})
        if plugin is not None:
            plugins.register("of-the-test", plugin)
        values = {"load_models_at_startup": False, **settings}
        server = MLServer(Settings(**values), plugins=plugins)
        servers.append(server)
        await server.startup(models)
        return server.engine

    yield start_server
    for server in servers:
        await server.stop()


@pytest.fixture
def ask():
    """Sends one inference request with one tensor to an engine."""

    async def send(engine, name="m", version=None, *, data=(1.0,), id=None, headers=None):
        tensor = RequestInput(name="x", shape=[len(data)], datatype="FP64", data=list(data))
        context = RequestContext(headers=headers or {})
        return await engine.infer(name, version, InferenceRequest(id=id, inputs=[tensor]), context)

    return send
