"""The metrics of one server, in a registry that no other server shares."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, SupportsFloat

import attrs

from mlserver_core.metrics.custom import ModelMetrics, check_name, refusal, to_float
from mlserver_core.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    from mlserver_core.metrics import series

_LABELS = ("model", "version")
#: Upper bounds of the counts of requests and rows, which double.
_COUNTS = tuple(2**power for power in range(13))
_CUSTOM_LABELS = ("model_name", "model_version")
#: Characters that the names and values of an exemplar's labels may have (OpenMetrics, "Exemplars").
_LONGEST_EXEMPLAR = 128
#: Requests in a queue.
_QUEUE_BUCKETS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
#: What Prometheus appends to the name of a metric for its series, by the metric's type.
_SERIES = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "info": ("_info",),
}


@attrs.define(eq=False)
class Metrics:
    """What one server counts.

    Attributes:
        registry: all of it; transports add their own metrics.
    """

    registry: CollectorRegistry = attrs.field(init=False)
    _success: series.Counter = attrs.field(init=False)
    _failure: series.Counter = attrs.field(init=False)
    _duration: series.Summary = attrs.field(init=False)
    _of_middlewares: list[Counter | Gauge] = attrs.field(factory=list, init=False)
    _outstanding: Histogram = attrs.field(init=False)
    _batch_queue: Histogram = attrs.field(init=False)
    _batch_rows: Histogram = attrs.field(init=False)
    _custom: dict[str, Histogram] = attrs.field(factory=dict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        # Not at the top: it takes its time, and a server without metrics needs none of it.
        import prometheus_client as prometheus

        from mlserver_core.metrics import series

        self.registry = prometheus.CollectorRegistry(auto_describe=True)
        prometheus.ProcessCollector(registry=self.registry)
        prometheus.PlatformCollector(registry=self.registry)
        prometheus.GCCollector(registry=self.registry)
        self._success = series.Counter(
            "model_infer_request_success",
            "Inference requests that a model answered.",
            _LABELS,
            registry=self.registry,
        )
        self._failure = series.Counter(
            "model_infer_request_failure",
            "Inference requests to a model that got no answer, or not all of it.",
            _LABELS,
            registry=self.registry,
        )
        self._duration = series.Summary(
            "model_infer_request_duration",
            "Seconds that inference requests took, whatever came of them.",
            _LABELS,
            registry=self.registry,
        )

        self._outstanding = prometheus.Histogram(
            "parallel_request_queue",
            "Requests that a worker had been given and not answered when another was sent to it.",
            buckets=_QUEUE_BUCKETS,
            registry=self.registry,
        )
        self._batch_queue = prometheus.Histogram(
            "batch_request_queue",
            "Requests that waited when a model with adaptive batching was asked.",
            _CUSTOM_LABELS,
            buckets=_COUNTS,
            registry=self.registry,
        )
        self._batch_rows = prometheus.Histogram(
            "batch_request_rows",
            "Rows that a model with adaptive batching was asked at once.",
            _CUSTOM_LABELS,
            buckets=_COUNTS,
            registry=self.registry,
        )

    def of_model(self, name: str, version: str | None) -> ModelMetrics:
        """The metrics of a model that is being loaded; raises nothing.

        A model that is loaded anew goes on with its own counts.
        """
        labels = (name, version or "")
        return _Counted(
            self,
            labels,
            self._success.labels(*labels),
            self._failure.labels(*labels),
            self._duration.labels(*labels),
        )

    def counter(self, name: str, description: str) -> Counter:
        """Makes a counter, with the labels ``model_name`` and ``model_version``, of what a
        middleware does. The series of a model leave with it.

        Raises:
            ValueError: it is no name for a metric, or the name is taken.
        """
        from prometheus_client import Counter

        made = Counter(name, description, _CUSTOM_LABELS, registry=self.registry)
        self._of_middlewares.append(made)
        return made

    def gauge(self, name: str, description: str) -> Gauge:
        """As ``counter``, for what goes up and down."""
        from prometheus_client import Gauge

        made = Gauge(name, description, _CUSTOM_LABELS, registry=self.registry)
        self._of_middlewares.append(made)
        return made

    def observe_outstanding(self, calls: int) -> None:
        """Notes how many calls a worker had been given and not finished."""
        self._outstanding.observe(calls)

    def taken(self) -> frozenset[str]:
        """Names that no custom metric can have: those that are there, and those whose series
        would have such a name. Of custom metrics only the names themselves are free, since
        models may share them.
        """
        names: set[str] = set()
        for metric in self.registry.collect():
            names.update(metric.name + series for series in ("", *_SERIES.get(metric.type, ())))
        names |= {
            name.removesuffix(series)
            for name in names
            for series in _SERIES["histogram"]
            if name.endswith(series)
        }
        return frozenset(names - self._custom.keys())

    def observe_batch(self, labels: tuple[str, str], waiting: int, rows: int | None) -> None:
        """As ``ModelMetrics.observe_batch``, of the model with these labels."""
        self._batch_queue.labels(*labels).observe(waiting)
        if rows is not None:
            self._batch_rows.labels(*labels).observe(rows)

    def forget(self, name: str, version: str | None) -> None:
        """Takes out everything about a model that is gone, so that what is kept is bounded."""
        with self._lock:
            own = (self._success, self._failure, self._duration)
            batches = (self._batch_queue, self._batch_rows)
            custom = self._custom.values()
            for metric in (*own, *batches, *self._of_middlewares, *custom):
                metric.remove(name, version or "")

    def custom(self, name: str, description: str) -> Histogram:
        """The custom metric of that name; made if it is not there.

        Raises:
            ValueError: it is no name for a metric, or the name is taken.
        """
        from prometheus_client import Histogram

        with self._lock:
            if name not in self._custom:
                check_name(name)
                try:
                    self._custom[name] = Histogram(
                        name, description, _CUSTOM_LABELS, registry=self.registry
                    )
                except ValueError:
                    raise ValueError(refusal(name)) from None
            return self._custom[name]


@attrs.define(eq=False)
class _Counted(ModelMetrics):
    """The metrics of one loaded model in those of its server."""

    _metrics: Metrics
    _labels: tuple[str, str]
    _success: series.Count
    _failure: series.Count
    _duration: series.Distribution
    _custom: dict[str, Histogram] = attrs.field(factory=dict, init=False)
    _exemplar: dict[str, str] | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        exemplar = dict(zip(_CUSTOM_LABELS, self._labels, strict=True))
        characters = sum(len(key) + len(value) for key, value in exemplar.items())
        self._exemplar = exemplar if characters <= _LONGEST_EXEMPLAR else None

    def measure(self) -> AbstractContextManager[object]:
        return _Request(self._success, self._failure, self._duration)

    def observe_batch(self, *, waiting: int, rows: int | None) -> None:
        self._metrics.observe_batch(self._labels, waiting, rows)

    def register(self, name: str, description: str) -> None:
        self._metrics.custom(name, description)

    def observe_outstanding(self, calls: int) -> None:
        self._metrics.observe_outstanding(calls)

    def taken(self) -> frozenset[str]:
        return self._metrics.taken()

    def observe(self, name: str, description: str, value: SupportsFloat) -> None:
        found = self._custom.get(name)
        if found is None:
            found = self._metrics.custom(name, description).labels(*self._labels)
            self._custom[name] = found
        found.observe(to_float(name, value), self._exemplar)


class _Request:
    """Counts what happens inside a ``with`` as one request; made anew for each."""

    __slots__ = ("_duration", "_failure", "_started", "_success")

    def __init__(
        self, success: series.Count, failure: series.Count, duration: series.Distribution
    ) -> None:
        self._success = success
        self._failure = failure
        self._duration = duration

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._duration.observe(time.perf_counter() - self._started)
        (self._success if kind is None else self._failure).inc()


def make_metrics(settings: Settings) -> Metrics | None:
    """The metrics of a server; None when ``metrics_endpoint`` is unset or empty."""
    return Metrics() if settings.metrics_endpoint else None
