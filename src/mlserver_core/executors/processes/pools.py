"""Which workers a model lives in."""

from __future__ import annotations

import logging
import uuid
from functools import partial

import attrs

from mlserver_core.executors.processes.executor import ProcessesExecutor
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
    number of ``parallel_workers`` of its own and no such name has a pool to itself.

    Attributes:
        settings: of the server.
    """

    settings: Settings
    _pools: dict[Key, _Shared] = attrs.field(factory=dict, init=False)

    def executor(self, settings: ModelSettings) -> ProcessesExecutor:
        """Makes the executor of one model; the workers of a new pool begin to start."""
        key, size = self._choose(settings)
        shared = self._pools.get(key)
        if shared is None:
            shared = self._pools[key] = _Shared(Pool(size, self.settings))
            shared.pool.start()
        elif shared.pool.size != size:
            logger.warning(
                "Model %r asks for %d workers, but pool %r has %d already, which it shares",
                settings.name,
                size,
                key[-1],
                shared.pool.size,
            )
        shared.users += 1
        return ProcessesExecutor(
            settings=settings,
            pool=shared.pool,
            release=partial(self._release, key),
            timeout=settings.request_timeout,
        )

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
