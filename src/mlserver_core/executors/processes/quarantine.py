"""Remembers requests that have ended workers, so that they do no more harm."""

from __future__ import annotations

import copy
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import attrs

from mlserver_core.executors.processes.values import pack
from mlserver_core.types import InferenceRequest

#: Seconds for which a request is remembered, unless its model is loaded anew.
REMEMBERED = 600.0
#: How many workers a request may end before it is refused.
MOST_LOST = 2
#: Requests that are remembered, over all models.
_MOST = 10_000

Key = tuple[int, bytes]


@attrs.define(eq=False)
class Quarantine:
    """How many workers have ended while they worked on a request, by its content.

    A client that was told to try again sends the same request with another id, so what counts is
    what the model would see: inputs, parameters and requested outputs, but no headers.
    """

    _clock: Callable[[], float] = time.monotonic
    _lost: OrderedDict[Key, tuple[int, float]] = attrs.field(factory=OrderedDict, init=False)

    def __bool__(self) -> bool:
        """Is anything remembered?"""
        return bool(self._lost)

    def lost(self, generation: int, request: InferenceRequest) -> int:
        """How many workers the request has ended."""
        if not self._lost:  # nearly always; the digest costs a pass over the tensors
            return 0
        key = generation, digest(request)
        count, until = self._lost.get(key, (0, 0.0))
        if count and until < self._clock():
            del self._lost[key]
            return 0
        return count

    def note(self, generation: int, request: InferenceRequest, lost: int) -> int:
        """Remembers that a worker has ended; returns how many it were by now.

        Args:
            generation: the load of the model.
            request: what the worker was asked.
            lost: how many have ended on this call.
        """
        count = max(lost, self.lost(generation, request) + 1)
        key = generation, digest(request)
        self._lost[key] = count, self._clock() + REMEMBERED
        self._lost.move_to_end(key)
        while len(self._lost) > _MOST:
            self._lost.popitem(last=False)
        return count

    def clear(self, generation: int, request: InferenceRequest) -> None:
        """The request has been answered, so it was not to blame."""
        if self._lost:
            self._lost.pop((generation, digest(request)), None)

    def forget(self, generation: int) -> None:
        """The load of a model is gone."""
        for key in [key for key in self._lost if key[0] == generation]:
            del self._lost[key]


def digest(request: InferenceRequest) -> bytes:
    """Names a request by what the model sees of it, but for its id and headers."""
    bare = copy.copy(request)
    bare.id = None
    bare.parameters = copy.copy(request.parameters)
    if bare.parameters is not None:
        bare.parameters.headers = None
    metadata, buffers = pack(bare)
    made = hashlib.blake2b(metadata, digest_size=16)
    for buffer in buffers:
        made.update(buffer)
    return made.digest()
