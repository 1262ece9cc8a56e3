from __future__ import annotations

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
