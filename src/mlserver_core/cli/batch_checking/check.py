"""One check: the rows alone, together, shuffled and among bad ones, and whether that is equal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import attrs

from mlserver_core.cli.batch_checking.comparison import Outcome, find_difference, largest_floats
from mlserver_core.cli.batch_checking.merges import Merges, describe_merges
from mlserver_core.cli.batch_checking.rows import Row
from mlserver_core.cli.batch_checking.server import CheckedModel
from mlserver_core.errors import InvalidRequest

#: How often the rows are asked in another order.
_SHUFFLES = 3


@attrs.frozen
class Difference:
    """A row that was not answered as it is alone.

    Attributes:
        row: its name.
        text: what differs.
    """

    row: str
    text: str


@attrs.frozen
class Stage:
    """One way in which the rows were asked.

    Attributes:
        name: which.
        calls: how many.
        differences: of its answers from those of the rows alone.
    """

    name: str
    calls: int
    differences: tuple[Difference, ...]


@attrs.define
class Check:
    """Asks a model the same in several ways.

    Attributes:
        model: the model.
        tolerance: how far floats may be apart, relative to the largest of their output.
        stages: what was found.
        merges: what can be said about how many requests were merged.
    """

    model: CheckedModel
    tolerance: float
    stages: list[Stage] = attrs.field(factory=list)
    merges: Merges = Merges("", are_proven=False)
    _alone: dict[str, Outcome] = attrs.field(factory=dict)
    _distances: dict[str, float] = attrs.field(factory=dict)

    @property
    def is_equal(self) -> bool:
        """Was every row answered as it is alone?"""
        return not any(stage.differences for stage in self.stages)

    async def run(self, rows: Sequence[Row], poison: Sequence[Row]) -> None:
        """Asks everything.

        Args:
            rows: what should be answered.
            poison: what may fail.

        Raises:
            InvalidRequest: no row is answered, even alone.
        """
        for row in (*rows, *poison):
            self._alone[row.name] = await self.model.ask(row)
        answered = [self._alone[row.name].answer for row in rows]
        first = next(filter(None, answered), None)
        if first is None:
            reason = self._alone[rows[0].name].error
            raise InvalidRequest(f"the model answers no row, even alone: {reason}")
        largest = largest_floats(self._alone.values())
        self._distances = {name: size * self.tolerance for name, size in largest.items()}
        version = first.model_version or ""
        begun = await self.model.count(version)
        again = [await self.model.ask(row) for row in rows]
        self._compare("alone, a second time", rows, again)
        before = await self.model.count(version)
        shuffled = list(rows)
        chance = random.Random(0)  # noqa: S311  # nothing secret
        await self._ask_together("together", shuffled)
        for _ in range(_SHUFFLES):
            chance.shuffle(shuffled)
            await self._ask_together("together, shuffled", shuffled)
        after = await self.model.count(version)
        self.merges = describe_merges(before.since(begun), after.since(before), 1 + _SHUFFLES)
        for _ in range(_SHUFFLES):
            mixed = [*rows, *poison]
            chance.shuffle(mixed)
            await self._ask_together("among bad rows", mixed)

    async def _ask_together(self, name: str, rows: Sequence[Row]) -> None:
        self._compare(name, rows, await asyncio.gather(*map(self.model.ask, rows)))

    def _compare(self, name: str, rows: Sequence[Row], found: Sequence[Outcome]) -> None:
        texts = [
            find_difference(self._alone[row.name], outcome, self._distances)
            for row, outcome in zip(rows, found, strict=True)
        ]
        differences = [
            Difference(row.name, text) for row, text in zip(rows, texts, strict=True) if text
        ]
        self.stages.append(Stage(name, len(rows), tuple(differences)))
