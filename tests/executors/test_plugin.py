from __future__ import annotations

from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.plugin import mlserver_register_executors
from mlserver_core.executors.threads import ThreadsExecutor
from mlserver_core.hooks.registry import Registry


def test_the_built_in_executors_are_inline_and_threads():
    registry = Registry("executor")
    mlserver_register_executors(registry)
    assert registry.items() == {"inline": InlineExecutor, "threads": ThreadsExecutor}
