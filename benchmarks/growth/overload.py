"""What clients get below and above what a model can do, when they do not wait for each other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from growth.load import Effort, json_body, load_rest
from growth.server import Server, on_cpu, serving

#: Arrivals, as a part of the capacity that was measured just before.
PARTS = (2.0, 0.5, 0.75, 1.0, 1.25, 1.5)
#: Requests of 5 ms each that wait or run: the last waits for 80 ms.
QUEUE = 16
#: Seconds after which an answer is of no use to its client.
DEADLINE = 0.2
WORKERS = {"in the server": 0, "in a worker": 1}
CLIENT = Path(__file__).with_name("open_loop.py")


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each place of the model and rate of arrivals, in one run instead of rounds."""
    rows = []
    for name, workers in WORKERS.items():
        model = {"implementation": "served.Burn", "max_queue_size": QUEUE}
        with serving({"m0": model}, workers=workers) as server:
            full = load_rest(server, json_body((1, 4)), QUEUE // 2, effort)
            for part in sorted(effort.pick(PARTS)):
                found = _arrive(server, full.per_second * part, effort)
                row = {"model": name, "part": part, "capacity": full.per_second}
                rows.append({**row, **found})
    return rows


def _arrive(server: Server, rate: float, effort: Effort) -> dict[str, Any]:
    """What a client of its own process found."""
    command = [sys.executable, str(CLIENT), server.infer_url("m0"), "--rate", str(rate)]
    command += ["--seconds", str(effort.seconds * effort.rounds), "--deadline", str(DEADLINE)]
    command = on_cpu(command, effort.load_cpu)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
