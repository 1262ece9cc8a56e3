"""Measures our server and its peers beside each other, and writes ``benchmarks/RESULTS.md``.

Each server gets a virtual environment of its own, which is made the first time. Linux only: it
needs taskset, and wrk. ``--quick`` takes less than two minutes once the environments are there.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from side_by_side.cases import CASES
from side_by_side.environments import make_environment, read_version
from side_by_side.measuring import Plan, measure_cases, measure_starts
from side_by_side.peers import OURS, PEERS, Peer
from side_by_side.report import Results, make_page

QUICK = Plan(rounds=1, seconds=1, warm_up=1)
THOROUGH = Plan(rounds=3, seconds=4, warm_up=1)


def main() -> None:
    """Measures what the command line asks for."""
    options = read_options()
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is missing; install it, on Debian: apt-get install wrk")
    plan = QUICK if options.quick else THOROUGH
    asked = [OURS, *(PEERS[name] for name in options.peers)]
    peers = [(peer, _python_of(peer, options)) for peer in asked]
    cases = [case for case in CASES if not options.cases or case.name in options.cases]
    measured = {}
    for workers in (False, True):
        group = [case for case in cases if case.workers is workers]
        if group:
            measured.update(measure_cases(group, peers, plan))
    results = Results(
        command=shlex.join(["python", "benchmarks/run.py", *sys.argv[1:]]),
        version=describe_code(),
        plan=plan,
        versions={peer.name: _version(peer, python) for peer, python in peers},
        cases=cases,
        measured=measured,
        starts={} if options.cases else measure_starts(_starting(peers), plan),
    )
    page = make_page(results)
    whole = not (options.quick or options.cases or options.here) and options.peers == [*PEERS]
    path = options.output or (HERE / "RESULTS.md" if whole else None)
    if path is None:
        print(page)
        return
    path.write_text(page, encoding="utf-8")
    print(f"written: {path}")


def describe_code() -> str:
    """The day, and the commit of this clone."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"{date.today()}, commit {done.stdout.strip() or 'unknown'}"  # noqa: DTZ011  # the day here


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--peers", nargs="*", choices=PEERS, help="only beside these, or none")
    parser.add_argument(
        "--cases", nargs="*", choices=[case.name for case in CASES], help="only these, no starts"
    )
    parser.add_argument(
        "--output", type=Path, help="the page; RESULTS.md if all is measured, else it is printed"
    )
    parser.add_argument(
        "--here", action="store_true", help="take our server from the Python that runs this"
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path.home() / ".cache" / "mlserver-core-benchmarks",
        help="where the servers' virtual environments are kept",
    )
    options = parser.parse_args()
    if options.peers is None:  # two minutes are enough for one MLServer
        options.peers = [name for name in PEERS if not (options.quick and name == "quiet")]
    return options


def _python_of(peer: Peer, options: argparse.Namespace) -> Path:
    if options.here and peer.environment == OURS.environment:
        return Path(sys.executable)
    return make_environment(options.environments, peer.environment, peer.requirements)


def _starting(peers: list[tuple[Peer, Path]]) -> list[tuple[Peer, Path]]:
    """Those whose start says something: whole servers."""
    return [(peer, python) for peer, python in peers if peer.name != "bare handler"]


def _version(peer: Peer, python: Path) -> str:
    return f"{peer.distribution} {read_version(python, peer.distribution)}"


if __name__ == "__main__":
    main()
