"""What the code of a model finds around it while it works."""

from __future__ import annotations

import contextvars
from typing import Any

import attrs

from mlserver_core.engine.module_space import ModuleSpace, current_space
from mlserver_core.logging.models import current_model
from mlserver_core.metrics.custom import ModelMetrics, current_metrics
from mlserver_core.types.context import RequestContext, current_request


@attrs.frozen(eq=False)
class ModelContext:
    """What belongs to one loaded model.

    Attributes:
        space: the modules of its folder, if it has one.
        metrics: what is counted of it.
        label: how the log names it: ``NAME`` or ``NAME:VERSION``.
    """

    space: ModuleSpace | None = None
    metrics: ModelMetrics = attrs.field(factory=ModelMetrics)
    label: str = ""

    def around(self, request: RequestContext | None = None) -> Around:
        """Inside, in this thread or task, plain names mean the model's modules.

        Args:
            request: what the model works for, if it is a request.
        """
        return Around(
            (
                (current_space, self.space),
                (current_metrics, self.metrics),
                (current_request, request),
                (current_model, self.label),
            )
        )


class Around:
    """Sets context variables inside a ``with``.

    A class, since this stands on the way of every request and a generator costs four times as
    much.
    """

    __slots__ = ("_tokens", "_values")

    def __init__(self, values: tuple[tuple[contextvars.ContextVar[Any], Any], ...]) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._tokens = [variable.set(value) for variable, value in self._values]

    def __exit__(self, *_: object) -> None:
        for token in self._tokens:
            token.var.reset(token)
