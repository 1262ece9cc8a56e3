"""Takes the figures: servers beside each other, loads in turns, medians of rounds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import attrs

from side_by_side.cases import Case
from side_by_side.environments import time_import
from side_by_side.loads import Load, Measured, check_grpc, check_rest, load_grpc, load_rest
from side_by_side.peers import Peer, Setup
from side_by_side.processes import Running, free_ports, running


@attrs.frozen(kw_only=True)
class Plan:
    """How thoroughly to measure.

    Attributes:
        rounds: how often each load is repeated.
        seconds: of one load.
        warm_up: seconds of a load before it that count for nothing.
    """

    rounds: int
    seconds: float
    warm_up: float


@attrs.frozen(kw_only=True)
class Start:
    """What a server takes before its first request; one model, everything in one process.

    Attributes:
        ready: seconds from the start of the process until it is ready.
        imported: seconds that the import of its package takes.
        memory: bytes.
    """

    ready: float
    imported: float
    memory: float


@attrs.frozen
class Host:
    """Which processors servers and load have; both None where there is only one."""

    server_cpu: int | None
    load_cpu: int | None


def find_host() -> Host:
    """The first two processors that this process may use."""
    cpus = sorted(os.sched_getaffinity(0))
    return Host(cpus[0], cpus[1]) if len(cpus) > 1 else Host(None, None)


def measure_cases(
    cases: Sequence[Case], peers: Sequence[tuple[Peer, Path]], plan: Plan
) -> dict[str, dict[str, Measured]]:
    """Medians by case and peer.

    Args:
        cases: all with the same ``workers``.
        peers: servers, and the Pythons of their environments.
        plan: how often and how long.

    Raises:
        SystemExit: a server does not start or answers wrongly.
    """
    host = find_host()
    workers = cases[0].workers
    found = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="side-by-side-")))
        cpu = None if workers else host.server_cpu
        served = {
            peer: stack.enter_context(
                serve(peer, python, folder / peer.name, cpu, workers=None if workers else 0)
            )
            for peer, python in peers
            if any(case.name in peer.cases for case in cases)
        }
        load_cpu = None if workers else host.load_cpu
        for case in cases:
            able = {peer: server for peer, server in served.items() if case.name in peer.cases}
            found[case.name] = _measure(case, able, plan, load_cpu, folder)
    return found


@contextmanager
def serve(
    peer: Peer, python: Path, folder: Path, cpu: int | None, **options: Any
) -> Iterator[Running]:
    """A peer that serves from ``folder``, on one processor or on all; ``options`` are of Setup."""
    folder.mkdir()
    http_port, grpc_port, metrics_port = free_ports(3)
    setup = Setup(
        python=python,
        folder=folder,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        **options,
    )
    command = peer.prepare(setup)
    with running(command, (http_port, grpc_port), cpu, folder / "log") as server:
        yield server


def measure_starts(peers: Sequence[tuple[Peer, Path]], plan: Plan) -> dict[str, Start]:
    """Medians by peer; every round starts each server anew, in turns."""
    cpu = find_host().server_cpu
    found: dict[str, list[Start]] = {peer.name: [] for peer, _ in peers}
    for _ in range(plan.rounds):
        for peer, python in peers:
            with TemporaryDirectory(prefix="start-") as folder:
                place = Path(folder) / "served"
                with serve(peer, python, place, cpu, only_sum=True) as server:
                    memory = server.memory()
            imported = time_import(python, peer.importing)
            found[peer.name].append(
                Start(ready=server.start_seconds, imported=imported, memory=memory)
            )
    return {name: _median(starts) for name, starts in found.items()}


def _measure(
    case: Case, servers: dict[Peer, Running], plan: Plan, cpu: int | None, folder: Path
) -> dict[str, Measured]:
    request, seconds = case.make(), max(plan.seconds, case.least_seconds)
    is_rest = case.kind == "rest"
    check, ask = (check_rest, load_rest) if is_rest else (check_grpc, load_grpc)
    rounds: dict[str, list[Measured]] = {peer.name: [] for peer in servers}
    for _ in range(plan.rounds):
        for peer, server in servers.items():
            load = Load(
                port=server.http_port if is_rest else server.grpc_port,
                request=request,
                connections=case.connections,
                cpu=cpu,
                folder=folder,
            )
            check(load)
            if plan.rounds > 1 or not case.least_seconds:
                ask(load, plan.warm_up)
            measured = ask(load, seconds)
            if measured.wrong:
                raise SystemExit(f"{peer.name}, {case.name}: {measured.wrong} wrong answers")
            rounds[peer.name].append(measured)
            print(f"{case.name}: {peer.name}: {measured.rate:,.1f}/s", flush=True)
    return {name: _median(each) for name, each in rounds.items()}


def _median(each: Sequence[Any]) -> Any:
    """Each attribute's median."""
    return type(each[0])(
        **{
            field.name: median(getattr(one, field.name) for one in each)
            for field in attrs.fields(type(each[0]))
        }
    )
