"""Requests a second and the time until an answer, against how many clients ask at once."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import attrs

from growth.load import Effort, in_turns, json_body, load_rest
from growth.server import serving

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MODELS = {"async def predict": "served.Double", "def predict": "served.Threaded"}


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each kind of model and number of connections; a 1x4 tensor as JSON."""
    points, body = {}, json_body((1, 4))
    with ExitStack() as servers:
        for name, implementation in MODELS.items():
            model = {"m0": {"implementation": implementation}}
            server = servers.enter_context(serving(model, cpu=effort.server_cpu))
            for connections in effort.pick(CONNECTIONS):
                points[name, connections] = partial(load_rest, server, body, connections, effort)
        found = in_turns(points, effort.rounds)
    return [
        {"model": name, "connections": connections, **attrs.asdict(load)}
        for (name, connections), load in found.items()
    ]
