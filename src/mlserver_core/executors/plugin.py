"""Registers the built-in executors."""

from __future__ import annotations

from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import ExecutorFactory
from mlserver_core.executors.processes.pools import Pools
from mlserver_core.executors.threads import ThreadsExecutor
from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry
from mlserver_core.settings import Settings


@hookimpl
def mlserver_register_executors(registry: Registry[ExecutorFactory], settings: Settings) -> None:
    """On the event loop, in threads, or in worker processes."""
    registry.add("inline", InlineExecutor)
    registry.add("threads", ThreadsExecutor)
    registry.add("processes", Pools(settings).executor)
