"""One load of one model, in however many workers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import attrs

from mlserver_core.executors.interfaces import ModelSource

logger = logging.getLogger("mlserver.parallel")


@attrs.define(kw_only=True, eq=False)
class Generation:
    """One load of one model.

    Attributes:
        number: names it in frames.
        source: what is loaded.
        failure: why the worker that was last asked for it has it not; empty where it has.
        deaths: how many workers in a row have ended while they loaded it again.
    """

    number: int
    source: ModelSource
    failure: str = ""
    deaths: int = 0

    @property
    def name(self) -> str:
        """The model's name."""
        return self.source.settings.name

    @property
    def key(self) -> tuple[str, str | None]:
        """What a newer load replaces: a name and a version."""
        return self.source.settings.name, self.source.settings.version

    def count(self, body: Mapping[str, Any]) -> None:
        """Takes what the model's code counts in a worker; logs what cannot be counted.

        Args:
            body: of a frame METRICS.
        """
        metrics = self.source.metrics
        if metrics is None:
            return
        name, description = body["name"], body["description"]
        try:
            if body["op"] == "register":
                metrics.register(name, description)
            else:
                metrics.observe(name, description, body["value"])
        except (ValueError, TypeError) as error:
            logger.warning("Model %r: %s", self.name, error)
