"""Requests a second against the number of worker processes."""

from __future__ import annotations

from typing import Any

import attrs

from growth.load import Effort, json_body, load_rest
from growth.server import serving

WORKERS = (0, 1, 2, 4)
CONNECTIONS = 16
MODELS = {"light": "served.Threaded", "5 ms of Python": "served.Burn"}


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each model and number of workers; a 1x4 tensor as JSON. Server, workers and load
    share all processors.
    """
    rows, body = [], json_body((1, 4))
    everywhere = attrs.evolve(effort, load_cpu=None)
    for name, implementation in MODELS.items():
        for workers in effort.pick(WORKERS):
            with serving({"m0": {"implementation": implementation}}, workers=workers) as server:
                found = load_rest(server, body, CONNECTIONS, everywhere)
                row = {"model": name, "workers": workers, "bytes": server.memory()}
                rows.append({**row, **attrs.asdict(found)})
    return rows
