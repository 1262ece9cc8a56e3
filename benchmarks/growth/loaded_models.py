"""What loaded models cost: requests a second, time to be ready, and memory."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import attrs

from growth.load import Effort, in_turns, json_body, load_rest
from growth.server import serving

MODELS = (1, 10, 100, 1000)
CONNECTIONS = 16


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each number of models, which are asked with a 1x4 tensor as JSON: all in turn,
    and one alone.
    """
    rows, points, body = [], {}, json_body((1, 4))
    with ExitStack() as servers:
        for count in effort.pick(MODELS):
            models = {f"m{number}": {"implementation": "served.Double"} for number in range(count)}
            server = servers.enter_context(serving(models, cpu=effort.server_cpu))
            ask = partial(load_rest, server, body, CONNECTIONS, effort)
            points["one", count], points["all", count] = ask, partial(ask, models=count)
            start = {"seconds to ready": server.seconds, "cpu to ready": server.cpu()}
            held = {"bytes": server.memory(), "threads": server.threads()}
            rows.append({"models": count, **start, **held})
        found = in_turns(points, effort.rounds)
    for row in rows:
        row |= {way: attrs.asdict(found[way, row["models"]]) for way in ("one", "all")}
    return rows
