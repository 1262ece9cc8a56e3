"""How much one worker is given before it has finished some."""

from __future__ import annotations

from collections import Counter
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


@attrs.define(eq=False)
class Room:
    """What a worker has to do for each load of a model. Streams need no room: most of them wait
    for their clients most of the time, and ``max_queue_size`` bounds their number.
    """

    _calls: Counter[int] = attrs.field(factory=Counter, init=False)
    _bytes: Counter[int] = attrs.field(factory=Counter, init=False)

    def __bool__(self) -> bool:
        """Is any of it taken?"""
        return bool(self._calls)

    def fits(self, call: Call) -> bool:
        """Is there room for a call? A single one may be of any size."""
        if call.frames is not None:
            return True
        taken = self._bytes[call.generation]
        enough = not taken or taken + call.size <= MOST_BYTES
        return enough and self._calls[call.generation] < MOST_CALLS

    def take(self, call: Call) -> None:
        """A call is sent."""
        if call.frames is None:
            self._calls[call.generation] += 1
            self._bytes[call.generation] += call.size

    def give_back(self, call: Call) -> None:
        """The worker is done with a call."""
        if call.frames is not None:
            return
        self._calls[call.generation] -= 1
        self._bytes[call.generation] -= call.size
        if not self._calls[call.generation]:
            del self._calls[call.generation], self._bytes[call.generation]


def find_room(workers: Iterable[WorkerProcess], call: Call) -> WorkerProcess | None:
    """The worker with the fewest calls, of those that have the model and room for a call; one whose
    model has lowered its ``ready`` comes last. None where there is none.
    """
    best: tuple[tuple[bool, int], WorkerProcess] | None = None
    for worker in workers:
        if call.generation in worker.loaded and worker.room.fits(call):
            rank = not worker.loaded[call.generation], len(worker.calls)
            if best is None or rank < best[0]:
                best = rank, worker
    return None if best is None else best[1]
