"""What clients get below and above what a model can do, when they do not wait for each other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from growth.load import Effort
from growth.server import Server, on_cpu, serving

#: Arrivals a second. Each model takes 5 ms and a little for a request, one at a time, so that it
#: can do just below 200.
RATES = (400, 100, 150, 200, 250, 300)
#: Requests that wait or run: the last waits for 80 ms.
QUEUE = 16
#: Seconds after which an answer is of no use to its client.
DEADLINE = 0.2
#: Class and number of workers.
MODELS = {
    "native code, in the server": ("served.Wait", 0),
    "Python, in the server": ("served.Burn", 0),
    "Python, in a worker": ("served.Burn", 1),
}
CLIENT = Path(__file__).with_name("open_loop.py")


def measure(effort: Effort) -> list[dict[str, Any]]:
    """One row for each model and rate, of one run that takes as long as all rounds elsewhere."""
    rows = []
    for name, (implementation, workers) in MODELS.items():
        model = {"implementation": implementation, "max_queue_size": QUEUE}
        with serving({"m0": model}, workers=workers) as server:
            rows += [
                {"model": name, "rate": rate, **_arrive(server, rate, effort)}
                for rate in sorted(effort.pick(RATES))
            ]
    return rows


def _arrive(server: Server, rate: float, effort: Effort) -> dict[str, Any]:
    """What a client of its own process found."""
    command = [sys.executable, str(CLIENT), server.infer_url("m0"), "--rate", str(rate)]
    command += ["--seconds", str(effort.seconds * effort.rounds), "--deadline", str(DEADLINE)]
    command = on_cpu(command, effort.load_cpu)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
