"""Sends what models count to the server, which keeps it."""

from __future__ import annotations

from collections.abc import Collection
from typing import SupportsFloat

import attrs

from mlserver_core.executors.processes.frames import Kind
from mlserver_core.metrics.custom import ModelMetrics, check_name, refusal, to_float
from mlserver_core.worker.sender import Sender


@attrs.define(eq=False)
class ShippedMetrics(ModelMetrics):
    """What is counted of one generation of a model.

    Attributes:
        sender: to the server.
        generation: of the model.
        refused: names that no custom metric can have, since the server has such series.
    """

    sender: Sender
    generation: int
    refused: Collection[str]
    _known: set[str] = attrs.field(factory=set, init=False)

    def register(self, name: str, description: str) -> None:
        """Makes a custom metric in the server."""
        if name in self._known:
            return
        check_name(name)
        if name in self.refused:
            raise ValueError(refusal(name))
        self._known.add(name)
        self._post("register", name, description, 0.0)

    def observe(self, name: str, description: str, value: SupportsFloat) -> None:
        """Adds a value to a custom metric in the server."""
        self.register(name, description)
        self._post("observe", name, description, to_float(name, value))

    def _post(self, op: str, name: str, description: str, value: float) -> None:
        body = {
            "generation": self.generation,
            "op": op,
            "name": name,
            "description": description,
            "value": value,
        }
        self.sender.post(Kind.METRICS, body)
