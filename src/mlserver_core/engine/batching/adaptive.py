"""Puts a batcher in front of a model whose settings ask for it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mlserver_core.engine.batching.batcher import Batcher
from mlserver_core.metrics.custom import ModelMetrics
from mlserver_core.middlewares.interfaces import Infer
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest

logger = logging.getLogger("mlserver")


def batched(
    infer: Infer,
    settings: ModelSettings,
    metrics: ModelMetrics,
    slots: int,
    must_be_alone: Callable[[InferenceRequest], bool] = lambda _: False,
) -> Infer:
    """``infer`` with requests merged in front of it, if the settings of the model say so.

    Args:
        infer: answers a request; raises nothing but an MLServerError, or CancelledError.
        settings: of the model.
        metrics: of the model.
        slots: how many calls the model can work on at once; 0 when nothing may be merged here.
        must_be_alone: is a request not to be merged with others?
    """
    size, seconds = settings.max_batch_size, settings.max_batch_time
    if slots == 0 or (size <= 1 and seconds == 0):
        return infer
    if size <= 1 or seconds == 0:
        lacking = (
            "max_batch_size (rows, at least 2)"
            if size <= 1
            else "max_batch_time (seconds, above 0)"
        )
        logger.warning(
            "Model %r merges no requests: adaptive batching needs %s as well",
            settings.name,
            lacking,
        )
        return infer
    return Batcher(
        infer=infer, settings=settings, metrics=metrics, slots=slots, must_be_alone=must_be_alone
    ).infer
