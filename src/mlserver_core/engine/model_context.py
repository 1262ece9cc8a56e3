"""What the code of a model finds around it while it works."""

from __future__ import annotations

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
        return Around(self, request)


class Around:
    """Sets context variables inside a ``with``.

    A class, since this stands on the way of every request and a generator costs four times as
    much.
    """

    __slots__ = ("_context", "_label", "_metrics", "_request", "_space", "_works_for")

    def __init__(self, context: ModelContext, request: RequestContext | None) -> None:
        self._context = context
        self._works_for = request

    def __enter__(self) -> None:
        context = self._context
        self._space = current_space.set(context.space)
        self._metrics = current_metrics.set(context.metrics)
        self._request = current_request.set(self._works_for)
        self._label = current_model.set(context.label)

    def __exit__(self, *_: object) -> None:
        current_space.reset(self._space)
        current_metrics.reset(self._metrics)
        current_request.reset(self._request)
        current_model.reset(self._label)
