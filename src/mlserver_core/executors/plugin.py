"""Registers the built-in executors."""

from __future__ import annotations

from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import ExecutorFactory
from mlserver_core.executors.threads import ThreadsExecutor
from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry


@hookimpl
def mlserver_register_executors(registry: Registry[ExecutorFactory]) -> None:
    """On the event loop, or in threads."""
    registry.add("inline", InlineExecutor)
    registry.add("threads", ThreadsExecutor)
