from __future__ import annotations

import subprocess
import sys

from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.plugin import mlserver_register_executors
from mlserver_core.executors.threads import ThreadsExecutor
from mlserver_core.hooks.registry import Registry
from mlserver_core.settings import Settings


def test_the_built_in_executors_are_inline_threads_and_processes():
    registry = Registry("executor")
    mlserver_register_executors(registry, Settings())
    assert registry.get("inline") is InlineExecutor
    assert registry.get("threads") is ThreadsExecutor
    assert [*registry] == ["inline", "threads", "processes"]


def test_a_server_without_workers_imports_nothing_of_them():
    code = (
        "import asyncio, sys\n"
        "from mlserver_core import MLServer, ModelSettings, Settings\n"
        "async def serve():\n"
        "    ports = dict.fromkeys(('http_port', 'grpc_port', 'metrics_port'), 0)\n"
        "    server = MLServer(Settings(parallel_workers=0, **ports))\n"
        "    await server.startup([ModelSettings(name='echo', implementation='echo')])\n"
        "    assert server.engine.ready()\n"
        "    await server.stop()\n"
        "asyncio.run(serve())\n"
        "print([name for name in sys.modules if '.executors.processes' in name])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.splitlines()[-1] == "[]"
