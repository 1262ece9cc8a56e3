"""Registers the built-in executors."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mlserver_core.executors.inline import InlineExecutor
from mlserver_core.executors.interfaces import Executor, ExecutorFactory
from mlserver_core.executors.threads import ThreadsExecutor
from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry
from mlserver_core.settings import ModelSettings, Settings

if TYPE_CHECKING:
    from mlserver_core.executors.processes.pools import Pools


@hookimpl
def mlserver_register_executors(registry: Registry[ExecutorFactory], settings: Settings) -> None:
    """On the event loop, in threads, or in worker processes."""

    @functools.cache
    def make_pools() -> Pools:
        # A server without workers, and a worker itself, need none of the code for them.
        from mlserver_core.executors.processes.pools import Pools

        return Pools(settings)

    def make_executor(model_settings: ModelSettings) -> Executor:
        return make_pools().executor(model_settings)

    registry.add("inline", InlineExecutor)
    registry.add("threads", ThreadsExecutor)
    registry.add("processes", make_executor)
