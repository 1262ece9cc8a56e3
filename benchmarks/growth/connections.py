"""Requests a second and the time until an answer, against how many clients ask at once."""

from __future__ import annotations

from typing import Any

import attrs

from growth.load import Effort, json_body, load_rest
from growth.server import serving

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MODELS = {"async def predict": "served.Double", "def predict": "served.Threaded"}


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each kind of model and number of connections; a 1x4 tensor as JSON."""
    rows, body = [], json_body((1, 4))
    for name, implementation in MODELS.items():
        with serving({"m0": {"implementation": implementation}}, cpu=effort.server_cpu) as server:
            for connections in effort.pick(CONNECTIONS):
                found = load_rest(server, body, connections, effort)
                rows.append({"model": name, "connections": connections, **attrs.asdict(found)})
    return rows
