"""Counters, gauges, summaries and histograms that are cheap to change.

prometheus_client's own take a lock and look at what they are given each time, which costs a small
request more than its model. These are changed on the event loop only, by code of the server, and
come out of the registry under the same names and in the same form.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import attrs
from prometheus_client import CollectorRegistry, Metric
from prometheus_client import Histogram as _Histogram
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

#: Seconds; the bounds that prometheus_client has.
SECONDS: tuple[float, ...] = tuple(_Histogram.DEFAULT_BUCKETS)


@attrs.define(eq=False)
class Count:
    """A number that goes up and down, or only up."""

    end: str
    value: float = 0.0
    created: float = attrs.field(factory=time.time)

    def inc(self) -> None:
        """One more."""
        self.value += 1

    def dec(self) -> None:
        """One less; of a gauge only."""
        self.value -= 1

    def samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Its value."""
        yield self.end, {}, self.value


@attrs.define(eq=False)
class Distribution:
    """How many values there were, their sum, and with bounds how many were not above each."""

    bounds: Sequence[float]
    total: float = 0.0
    counts: list[int] = attrs.field(init=False)
    created: float = attrs.field(factory=time.time)

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * max(1, len(self.bounds))

    def observe(self, value: float) -> None:
        """Adds a value, which is no NaN."""
        self.total += value
        self.counts[bisect_left(self.bounds, value)] += 1

    def samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Buckets, which count what is in those before them too; count and sum."""
        so_far = 0
        for bound, count in zip(self.bounds, list(self.counts), strict=False):
            so_far += count
            yield "_bucket", {"le": _show(bound)}, so_far
        yield "_count", {}, so_far if self.bounds else self.counts[0]
        yield "_sum", {}, self.total


V = TypeVar("V", "Count", "Distribution")


class _Family(Collector, Generic[V]):
    """All series of one name.

    Args:
        name: without the ends that Prometheus gives to series.
        description: for people.
        label_names: of the labels that tell the series apart.
        registry: where it is collected.

    Raises:
        ValueError: the name is taken.
    """

    kind = ""

    def __init__(
        self,
        name: str,
        description: str,
        label_names: Sequence[str],
        *,
        registry: CollectorRegistry,
    ) -> None:
        self.name = name
        self.description = description
        self._label_names = tuple(label_names)
        self._values: dict[tuple[str, ...], V] = {}
        registry.register(self)

    def labels(self, *labels: str) -> V:
        """The series with these labels, made if it is not there."""
        found = self._values.get(labels)
        if found is None:
            found = self._values[labels] = self._make()
        return found

    def _make(self) -> V:
        raise NotImplementedError

    def remove(self, *labels: str) -> None:
        """Takes out a series; it need not be there."""
        self._values.pop(labels, None)

    def collect(self) -> Iterator[Metric]:
        """Every series, as it is now; may be called in any thread."""
        found = Metric(self.name, self.description, self.kind)
        for labels, value in list(self._values.items()):
            own = dict(zip(self._label_names, labels, strict=True))
            for end, more, number in value.samples():
                found.add_sample(self.name + end, {**own, **more}, number)
            if self.kind != "gauge" and _tells_creation():
                found.add_sample(self.name + "_created", own, value.created)
        yield found

    def describe(self) -> Iterator[Metric]:
        """The family without its series."""
        yield Metric(self.name, self.description, self.kind)


class Counter(_Family[Count]):
    """Counts what happens."""

    kind = "counter"

    def _make(self) -> Count:
        return Count("_total")


class Gauge(_Family[Count]):
    """Counts what is there now."""

    kind = "gauge"

    def _make(self) -> Count:
        return Count("")


class Summary(_Family[Distribution]):
    """Count and sum of values."""

    kind = "summary"
    bounds: Sequence[float] = ()

    def _make(self) -> Distribution:
        return Distribution(self.bounds)


class Histogram(Summary):
    """Values by how large they are; ``bounds`` are upper ones, infinity the last."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str,
        label_names: Sequence[str],
        *,
        registry: CollectorRegistry,
        bounds: Sequence[float] = SECONDS,
    ) -> None:
        self.bounds = tuple(bounds)
        super().__init__(name, description, label_names, registry=registry)


def _show(bound: float) -> str:
    """A bound as Prometheus writes it."""
    shown: str = floatToGoString(bound)  # type: ignore[no-untyped-call]  # it has no types
    return shown


def _tells_creation() -> bool:
    """Unless the operator says otherwise, as prometheus_client has it."""
    off = os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "")
    return off.lower() not in ("true", "1", "t")
