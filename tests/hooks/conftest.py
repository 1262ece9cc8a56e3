"""Fake installed distributions, and servers with a plugin object of the test's own."""

from __future__ import annotations

import sys
import textwrap

import pytest

from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.server import MLServer
from mlserver_core.settings import Settings
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution with one plugin: real metadata and a real module on the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    before = set(sys.modules)

    def make(name, code, *, module=None, distribution=None, version="1.0", group="mlserver_core"):
        module = module or f"plugin_of_test_{name.replace('-', '_')}"
        distribution = distribution or f"dist-{name}"
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
        return site

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("plugin_of_test_"):
            del sys.modules[name]


@pytest.fixture
async def start():
    """Starts servers with a plugin object; transports only where the test asks for them."""
    servers = []

    async def start_server(plugin, *models, transports=False, **settings):
        blocked = "" if transports else "rest,grpc,metrics"
        plugins = PluginManager()
        plugins.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": blocked})
        if plugin is not None:
            plugins.register("of-the-test", plugin)
        values = {
            "load_models_at_startup": False,
            "http_port": 0,
            "grpc_port": 0,
            "metrics_port": 0,
            **settings,
        }
        server = MLServer(Settings(**values), plugins=plugins)
        servers.append(server)
        await server.startup(models)
        return server

    yield start_server
    for server in servers:
        await server.stop()


@pytest.fixture
def ask():
    """Sends one inference request to the engine of a server."""

    async def send(server, name="m", **fields):
        tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0], **fields}
        request = InferenceRequest(inputs=[RequestInput(**tensor)])
        return await server.engine.infer(name, None, request, RequestContext())

    return send
