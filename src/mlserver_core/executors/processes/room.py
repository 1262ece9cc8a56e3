"""How much one worker is given before it has finished some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from mlserver_core.executors.processes.calls import Call

if TYPE_CHECKING:
    from mlserver_core.executors.processes.process import WorkerProcess

#: Calls of one model, and bytes of their tensors, that a worker is given at once. What is above
#: waits in the server, where any worker can take it and where none is lost with a worker. Each
#: model has as much: one that is slow, or hangs, takes none from the others.
MOST_CALLS = 128
MOST_BYTES = 256 * 2**20
_NOTHING = (0, 0)


@attrs.define(eq=False)
class Room:
    """What a worker has to do for each load of a model. Streams need no room: most of them wait
    for their clients most of the time, and ``max_queue_size`` bounds their number.
    """

    #: Calls and bytes of each load that has any.
    _taken: dict[int, tuple[int, int]] = attrs.field(factory=dict, init=False)

    def __bool__(self) -> bool:
        """Is any of it taken?"""
        return bool(self._taken)

    def fits(self, call: Call) -> bool:
        """Is there room for a call? A single one may be of any size."""
        if call.frames is not None:
            return True
        calls, size = self._taken.get(call.generation, _NOTHING)
        return calls < MOST_CALLS and (not size or size + call.size <= MOST_BYTES)

    def take(self, call: Call) -> None:
        """A call is sent."""
        if call.frames is None:
            calls, size = self._taken.get(call.generation, _NOTHING)
            self._taken[call.generation] = calls + 1, size + call.size

    def give_back(self, call: Call) -> None:
        """The worker is done with a call."""
        if call.frames is not None:
            return
        calls, size = self._taken[call.generation]
        if calls == 1:
            del self._taken[call.generation]
        else:
            self._taken[call.generation] = calls - 1, size - call.size


def is_loaded(workers: Iterable[WorkerProcess], generation: int) -> bool:
    """Has a worker this load of a model?"""
    for worker in workers:  # noqa: SIM110  # asked twice for each request
        if generation in worker.loaded:
            return True
    return False


def find_room(
    workers: Iterable[WorkerProcess], call: Call, reserved: WorkerProcess | None
) -> WorkerProcess | None:
    """The worker with the fewest calls, of those that have the model and room for a call, and are
    not ``reserved``; one whose model has lowered its ``ready`` comes last. None where there is
    none.
    """
    best: tuple[tuple[bool, int], WorkerProcess] | None = None
    for worker in workers:
        if worker is reserved:
            continue
        if call.generation in worker.loaded and worker.room.fits(call):
            rank = not worker.loaded[call.generation], len(worker.calls)
            if best is None or rank < best[0]:
                best = rank, worker
    return None if best is None else best[1]
