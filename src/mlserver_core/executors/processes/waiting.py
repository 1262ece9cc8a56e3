"""Calls that no worker could take yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from mlserver_core.executors.processes.calls import Call


@attrs.define(eq=False)
class Waiting:
    """Waiting calls in order; those for one load of a model wait for no other's."""

    _calls: dict[int, deque[Call]] = attrs.field(factory=dict, init=False)

    def __contains__(self, generation: int) -> bool:
        """Do calls for a load of a model wait?"""
        return generation in self._calls

    def add(self, call: Call, *, first: bool = False) -> None:
        """Puts a call behind the others of its model, or before them."""
        calls = self._calls.setdefault(call.generation, deque())
        if first:
            calls.appendleft(call)
        else:
            calls.append(call)

    def remove(self, call: Call) -> bool:
        """Forgets a call; False where it does not wait here."""
        calls = self._calls.get(call.generation)
        if calls is None or call not in calls:
            return False
        calls.remove(call)
        if not calls:
            del self._calls[call.generation]
        return True

    def all(self) -> list[Call]:
        """Every call."""
        return [call for calls in self._calls.values() for call in calls]

    def hand_out(self, give: Callable[[Call], bool]) -> None:
        """Gives calls away.

        Args:
            give: takes a call; False where those of the same model have to wait on.
        """
        for generation, calls in list(self._calls.items()):
            while calls and give(calls[0]):
                calls.popleft()
            if not calls:
                del self._calls[generation]
