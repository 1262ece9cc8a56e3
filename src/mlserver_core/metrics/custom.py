"""Metrics that the code of a model makes: histograms with labels for the model and its version."""

from __future__ import annotations

import contextvars
import re
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import SupportsFloat

import attrs

from mlserver_core.errors import InvalidModelContext

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LOGGED = "Logged by a model."


class ModelMetrics:
    """What is counted of one loaded model. This class counts nothing: a server that has its
    metrics switched off gives it to its models.
    """

    def measure(self) -> AbstractContextManager[object]:
        """What happens inside is one inference request."""
        return nullcontext()

    def register(self, name: str, description: str) -> None:
        """Makes a custom metric, unless it is there; raises ValueError for a name that is taken."""

    def observe_outstanding(self, calls: int) -> None:
        """Notes how many calls a worker has been given and not finished."""

    def observe_batch(self, *, waiting: int, rows: int | None) -> None:
        """Notes that the model is asked.

        Args:
            waiting: requests that wait, those included that it is asked now.
            rows: how many it is asked; None where they cannot be told.
        """

    def taken(self) -> Collection[str]:
        """Names that no custom metric can have."""
        return ()

    def observe(self, name: str, description: str, value: SupportsFloat) -> None:
        """Adds a value to a custom metric, which is made if it is not there.

        Raises:
            ValueError: the name is taken, or is no name for a metric.
            TypeError: the value is no number.
        """


#: Those of the model whose code runs in the current task or thread; None where no model's does.
current_metrics: contextvars.ContextVar[ModelMetrics | None] = contextvars.ContextVar(
    "mlserver_metrics", default=None
)


@attrs.frozen
class CustomMetric:
    """A histogram of what a model's code observes.

    Attributes:
        name: under which Prometheus knows it.
        description: what it is.
    """

    name: str
    description: str
    _registered_by: ModelMetrics | None = attrs.field(repr=False)

    def observe(self, value: SupportsFloat) -> None:
        """Adds a value, with the labels of the model whose code calls this.

        In a thread that the model started itself they are those of the model that registered
        the metric. Outside of a server, as in a test of a runtime, nothing happens.

        Raises:
            TypeError: the value is no number.
        """
        metrics = current_metrics.get() or self._registered_by
        if metrics is not None:
            metrics.observe(self.name, self.description, value)


def register(name: str, description: str) -> CustomMetric:
    """Makes a custom metric: a histogram with the labels ``model_name`` and ``model_version``.

    It may be called at the top of a model's module, in ``load`` or later. A metric that is there
    already is given back, with the description it has: models may share one.

    Args:
        name: letters, digits, ``_`` and ``:``, no digit first.
        description: for whoever reads the metrics.

    Raises:
        ValueError: it is no name for a metric, or one of the server's own metrics has it.
    """
    check_name(name)
    metrics = current_metrics.get()
    if metrics is not None:
        metrics.register(name, description)
    return CustomMetric(name, description, metrics)


def log(**metrics: SupportsFloat) -> None:
    """Adds a value to each of the custom metrics that are named.

    One that is not registered is registered first. It works in everything that the server calls
    of a model: its module's top, ``load``, ``predict``, ``predict_stream``, custom handlers.

    Raises:
        InvalidModelContext: no code of a model is running here.
        ValueError: a name as ``register`` refuses it.
        TypeError: a value is no number.
    """
    current = current_metrics.get()
    if current is None:
        raise InvalidModelContext(
            f"log({', '.join(metrics)}) was called outside of a model: it works in code that the "
            "server calls, such as load() and predict(), and not in threads of a model's own; "
            "use what register() returns there"
        )
    for name, value in metrics.items():
        current.observe(name, _LOGGED, value)


def refusal(name: str) -> str:
    """What is said of a name that a custom metric cannot have."""
    return (
        f"metric {name!r}: the server has a metric of that name already, or one "
        "whose series would have the same names; choose another name"
    )


def to_float(name: str, value: SupportsFloat) -> float:
    """A value of a metric; raises TypeError for what is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"metric {name!r}: expected a number, got {type(value).__name__}") from None


def check_name(name: str) -> None:
    """Raises ValueError for what is no name for a metric."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"metric {name!r}: a name has letters, digits, '_' and ':' only, and no digit first"
        )
