"""How cost grows: with the size of a tensor, connections, loaded models, workers, and load.

Starts real servers and asks them with wrk, h2load and a client of its own. Linux only. Results go
to ``benchmarks/results/growth.json``; ``--plot`` draws them for the documentation. Run it with
``--help`` for its options.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from growth import connections, loaded_models, overload, sizes, workers
from growth.load import Effort
from growth.server import two_cpus

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "growth.json"
IMAGES = ROOT / "docs" / "images"
PARTS = {
    "sizes": sizes.measure,
    "connections": connections.measure,
    "models": loaded_models.measure,
    "workers": workers.measure,
    "overload": overload.measure,
}
TOOLS = ("wrk", "h2load")


def measure(names: list[str], effort: Effort, results: Path) -> None:
    """Measures some parts, and keeps what the file has of the others."""
    known: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {}
    results.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        rows = PARTS[name](effort)
        for row in rows:
            print(name, json.dumps(row), flush=True)
        machine = {"cpus": len(os.sched_getaffinity(0)), "python": platform.python_version()}
        known[name] = {**machine, "seconds": effort.seconds, "rounds": effort.rounds, "rows": rows}
        results.write_text(json.dumps(known, indent=1) + "\n")


def main() -> None:
    """Measures, or draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], help="some parts")
    parser.add_argument("--quick", action="store_true", help="one point of each, for a second")
    parser.add_argument("--seconds", type=int, default=3, help="of a measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements (%(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file (%(default)s)")
    parser.add_argument("--plot", action="store_true", help="draw what the file has, and no more")
    parser.add_argument("--images", type=Path, default=IMAGES, help="where to (%(default)s)")
    options = parser.parse_args()
    if options.plot:
        from growth.plots import draw

        draw(json.loads(options.results.read_text()), options.images)
        return
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        sys.exit(f"{' and '.join(missing)} not found: apt-get install wrk nghttp2-client")
    server_cpu, load_cpu = two_cpus()
    effort = Effort(
        seconds=1 if options.quick else options.seconds,
        rounds=1 if options.quick else options.rounds,
        points=1 if options.quick else None,
        server_cpu=server_cpu,
        load_cpu=load_cpu,
    )
    measure(options.only, effort, options.results)


if __name__ == "__main__":
    main()
