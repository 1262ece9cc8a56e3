"""Which workers a model lives in."""

from __future__ import annotations

import logging
import uuid
from functools import partial

import attrs

from mlserver_core.executors.processes.environments.environments import Environments
from mlserver_core.executors.processes.executor import Lease, ProcessesExecutor
from mlserver_core.executors.processes.interpreter import EnvironmentPython
from mlserver_core.executors.processes.pool import Pool
from mlserver_core.settings import ModelSettings, Settings

logger = logging.getLogger("mlserver.parallel")

Key = tuple[str, ...]


@attrs.define(eq=False)
class _Shared:
    """A pool, and how many models need it."""

    pool: Pool
    users: int = 0


@attrs.define(eq=False)
class Pools:
    """The pools of one server. A pool is there while a model needs it.

    Models share the pool of their ``inference_pool_gid``, or else the default one; a model with a
    number of ``parallel_workers`` of its own and no such name has a pool to itself. All of that
    holds among the models of one environment.

    Attributes:
        settings: of the server.
    """

    settings: Settings
    _environments: Environments = attrs.field(init=False)
    _pools: dict[Key, _Shared] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._environments = Environments(self.settings)

    def executor(self, settings: ModelSettings) -> ProcessesExecutor:
        """Makes the executor of one model."""
        return ProcessesExecutor(
            settings=settings, take=self._take, timeout=settings.request_timeout
        )

    async def _take(self, settings: ModelSettings) -> Lease:
        """The pool of one model; the workers of a new one begin to start."""
        python = await self._environments.find(settings)
        key, size = self._choose(settings)
        name = key[-1]
        if isinstance(python, EnvironmentPython):
            key = (*key, "environment", python.identity)
        shared = self._pools.get(key)
        if shared is None:
            shared = self._pools[key] = _Shared(Pool(size, self.settings, python))
            shared.pool.start()
        elif shared.pool.size != size:
            logger.warning(
                "Model %r asks for %d workers, but pool %r has %d already, which it shares",
                settings.name,
                size,
                name,
                shared.pool.size,
            )
        shared.users += 1
        return Lease(shared.pool, partial(self._release, key))

    def _choose(self, settings: ModelSettings) -> tuple[Key, int]:
        own = settings.parallel_workers
        size = self.settings.parallel_workers if own is None else own
        parameters = settings.parameters
        if parameters is not None and parameters.inference_pool_gid:
            return ("gid", parameters.inference_pool_gid), size
        if parameters is not None and parameters.autogenerate_inference_pool_gid:
            return ("gid", str(uuid.uuid4())), size
        if own is not None:
            return ("model", settings.name, settings.version or "", str(size)), size
        return ("default",), size

    async def _release(self, key: Key) -> None:
        shared = self._pools[key]
        shared.users -= 1
        if shared.users == 0:
            del self._pools[key]
            await shared.pool.stop()
