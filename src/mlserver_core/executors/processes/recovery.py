"""Loads in a new worker what its pool serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs

from mlserver_core.errors import MLServerError, ModelLoadError, WorkerLost
from mlserver_core.executors.processes.generation import Generation
from mlserver_core.executors.processes.process import WorkerProcess
from mlserver_core.executors.processes.supervisor import delay_after

logger = logging.getLogger("mlserver.parallel")

#: Workers that a model may end while they load it, until it is left out, and for how many seconds.
_MOST_DEATHS = 3
_LEFT_OUT = 600.0


class LostBeside(WorkerLost):
    """The worker has ended while it loaded other models too, any of which may be to blame."""


@attrs.define(eq=False)
class Recovery:
    """Brings new workers up to what their pool serves.

    A model that could once be loaded may end each worker that loads it again: its files have
    changed, or memory is short. So what was being loaded when a worker ended comes last and
    alone, when its next worker serves the other models already; and what goes on to end workers
    is left out for a while, where there are others to be served.

    Attributes:
        serving: what every worker is to have, by number.
        workers: those that take calls.
        load: loads a model in a worker.
        pause: waits for a number of seconds, or until the workers are to stop.
    """

    serving: Mapping[int, Generation]
    workers: Sequence[WorkerProcess]
    load: Callable[[WorkerProcess, Generation], Awaitable[Any]]
    pause: Callable[[float], Awaitable[None]]

    async def bring_up(self, worker: WorkerProcess, loads: Sequence[Generation]) -> None:
        """Loads in a new worker what was serving when it began.

        Args:
            worker: takes calls as soon as it has something.
            loads: not taken from ``serving``, as this may run a while after the worker began: by
                then whoever has loaded something meanwhile has it caught up with already.
        """
        together = [each for each in loads if not each.deaths]
        await asyncio.gather(*[self._try_load(worker, each) for each in together])
        for each in sorted(loads, key=lambda load: load.deaths):
            if each not in together and not self._is_left_out(each):
                await self._try_load(worker, each)
        if worker not in self.workers:
            return
        wanted = [each for each in loads if each.number in self.serving]
        lacking = [each for each in wanted if each.number not in worker.loaded]
        if have := len(wanted) - len(lacking):
            logger.info("%s has loaded %d of %d model(s) and serves", worker, have, len(wanted))
        await asyncio.gather(*[self._keep_trying(worker, each) for each in lacking])

    async def catch_up(self, worker: WorkerProcess, generation: Generation) -> None:
        """Loads one model in a worker, however often it takes."""
        if not await self._try_load(worker, generation):
            await self._keep_trying(worker, generation)

    async def _keep_trying(self, worker: WorkerProcess, generation: Generation) -> None:
        failures = 2
        while self._is_wanted(worker, generation):
            delay = _LEFT_OUT if self._is_left_out(generation) else delay_after(failures)
            if not self._is_superseded(generation):
                logger.error(
                    "%s: model %r is tried again in %g seconds, or when it is loaded anew: %s",
                    worker,
                    generation.name,
                    delay,
                    generation.failure,
                )
            await self.pause(delay)
            if await self._try_load(worker, generation):
                return
            failures += 1

    async def _try_load(self, worker: WorkerProcess, generation: Generation) -> bool:
        """Loads a model once; False where that failed, which ``generation.failure`` tells of."""
        if not self._is_wanted(worker, generation):
            return False
        try:
            await self.load(worker, generation)
        except WorkerLost as error:
            if worker.culprit is None and generation.number in self.serving:
                self._blame(generation, error)
        except (ModelLoadError, MLServerError) as error:  # the worker has logged the traceback
            generation.failure = error.message
            generation.deaths = 0
        else:
            generation.deaths = 0
            return True
        return False

    def _is_wanted(self, worker: WorkerProcess, generation: Generation) -> bool:
        return generation.number in self.serving and worker in self.workers

    def _is_superseded(self, generation: Generation) -> bool:
        """Is there a newer load, for which it is about to be unloaded? Until it is, a worker has to
        have it: the newer one may still be refused.
        """
        return any(
            each.key == generation.key and each.number > generation.number
            for each in self.serving.values()
        )

    def _is_left_out(self, generation: Generation) -> bool:
        others = [each for each in self.serving.values() if each.deaths < _MOST_DEATHS]
        return generation.deaths >= _MOST_DEATHS and bool(others)

    def _blame(self, generation: Generation, error: WorkerLost) -> None:
        generation.deaths += 1
        times = "a worker" if generation.deaths == 1 else f"{generation.deaths} workers in a row"
        beside = (
            ", perhaps because of another one beside it" if isinstance(error, LostBeside) else ""
        )
        generation.failure = f"{times} ended while the model was loaded{beside}: {error.message}"
        logger.error("Model %r: %s", generation.name, generation.failure)
