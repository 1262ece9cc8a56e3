"""Remembers requests that have ended workers, so that they do no more harm."""

from __future__ import annotations

import copy
import enum
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import attrs

from mlserver_core.executors.processes.values import pack
from mlserver_core.types import InferenceRequest

#: Seconds for which a request is remembered, unless its model is loaded anew.
REMEMBERED = 600.0
#: Requests that are remembered, over all models.
_MOST = 10_000

Key = tuple[int, bytes]


class Verdict(enum.Enum):
    """What is known of a request."""

    #: Nothing is held against it.
    CLEAR = "clear"
    #: It was in a worker that has ended, perhaps beside others.
    SUSPECT = "suspect"
    #: It was asked alone after that, and a second worker has ended.
    GUILTY = "guilty"


@attrs.define(eq=False)
class Quarantine:
    """What is known of requests that were in workers when they ended, by their content.

    A client that was told to try again sends the same request with another id, so what counts is
    what the model would see: inputs, parameters and requested outputs, but no headers.
    """

    _clock: Callable[[], float] = time.monotonic
    _known: OrderedDict[Key, tuple[Verdict, float]] = attrs.field(factory=OrderedDict, init=False)

    def __bool__(self) -> bool:
        """Is anything held against any request?"""
        return bool(self._known)

    def verdict(self, generation: int, request: InferenceRequest) -> Verdict:
        """What is known of a request to a load of a model."""
        if not self._known:  # nearly always; the digest costs a pass over the tensors
            return Verdict.CLEAR
        key = generation, digest(request)
        verdict, until = self._known.get(key, (Verdict.CLEAR, 0.0))
        if verdict is not Verdict.CLEAR and until < self._clock():
            del self._known[key]
            return Verdict.CLEAR
        return verdict

    def note(self, generation: int, request: InferenceRequest, verdict: Verdict) -> None:
        """Remembers a verdict; a request that is guilty stays so."""
        if self.verdict(generation, request) is not Verdict.GUILTY:
            key = generation, digest(request)
            self._known[key] = verdict, self._clock() + REMEMBERED
            self._known.move_to_end(key)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

    def clear(self, generation: int, request: InferenceRequest) -> None:
        """The request has been answered, so it was not to blame."""
        if self._known:
            self._known.pop((generation, digest(request)), None)

    def forget(self, generation: int) -> None:
        """The load of a model is gone."""
        for key in [key for key in self._known if key[0] == generation]:
            del self._known[key]


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
