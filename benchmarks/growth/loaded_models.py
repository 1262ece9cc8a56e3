"""What loaded models cost: requests a second, time to be ready, and memory."""

from __future__ import annotations

from typing import Any

import attrs

from growth.load import Effort, json_body, load_rest
from growth.server import serving

MODELS = (1, 10, 100, 1000)
CONNECTIONS = 16


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each number of models, which are asked with a 1x4 tensor as JSON: all in turn,
    and one alone.
    """
    rows, body = [], json_body((1, 4))
    for count in effort.pick(MODELS):
        models = {f"m{number}": {"implementation": "served.Double"} for number in range(count)}
        with serving(models, cpu=effort.server_cpu) as server:
            rows.append(
                {
                    "models": count,
                    "seconds to ready": server.seconds,
                    "bytes": server.memory(),
                    "threads": server.threads(),
                    "one": attrs.asdict(load_rest(server, body, CONNECTIONS, effort)),
                    "all": attrs.asdict(load_rest(server, body, CONNECTIONS, effort, models=count)),
                }
            )
    return rows
