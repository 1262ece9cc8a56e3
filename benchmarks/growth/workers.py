"""Requests a second against the number of worker processes."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import attrs

from growth.load import Effort, in_turns, json_body, load_rest
from growth.server import serving

WORKERS = (0, 1, 2, 4)
CONNECTIONS = 16
MODELS = {"light": "served.Threaded", "5 ms of Python": "served.Burn"}


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each model and number of workers; a 1x4 tensor as JSON. Server, workers and load
    share all processors.
    """
    points, memory, body = {}, {}, json_body((1, 4))
    everywhere = attrs.evolve(effort, load_cpu=None)
    with ExitStack() as servers:
        for name, implementation in MODELS.items():
            for workers in effort.pick(WORKERS):
                model = {"m0": {"implementation": implementation}}
                server = servers.enter_context(serving(model, workers=workers))
                point = name, workers
                points[point] = partial(load_rest, server, body, CONNECTIONS, everywhere)
                memory[point] = server.memory()
        found = in_turns(points, effort.rounds)
    return [
        {"model": name, "workers": workers, "bytes": memory[name, workers], **attrs.asdict(load)}
        for (name, workers), load in found.items()
    ]
