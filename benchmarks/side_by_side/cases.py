"""What is measured, and what we aim at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from side_by_side.requests import Request, iris_request, slow_request, sum_request


@attrs.frozen
class Aim:
    """How far ahead we want to be.

    Attributes:
        of: the peer's name; empty for a number of its own.
        factor: of the peer's figure, or the figure itself.
        at_most: the figure is to be that small, and not that large.
    """

    of: str
    factor: float
    at_most: bool = False

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        return f"{sign} {self.factor:g} x {self.of}" if self.of else f"{sign} {self.factor:g}"


@attrs.frozen(kw_only=True)
class Case:
    """One load on every server that can answer it.

    Attributes:
        name: as peers name it.
        title: in the table.
        kind: ``rest`` or ``grpc``.
        make: the request.
        least_seconds: of one load, where answers take long.
        connections: HTTP connections, or gRPC calls in flight on one connection.
        aims: of ours.
        workers: servers run with their default workers on all processors, and not in one process
            on one processor.
        instead: the name of the case whose figures of peers this one is compared with, where
            only we can answer it.
    """

    name: str
    title: str
    kind: str = "rest"
    make: Callable[[], Request]
    connections: int
    least_seconds: float = 0
    aims: tuple[Aim, ...] = ()
    workers: bool = False
    instead: str = ""


_ROW, _SQUARE, _LONG = (1, 4), (128, 128), (1, 1_000_000)

CASES = (
    Case(
        name="rest 1x4",
        title="REST sum 1x4, 16 connections",
        make=partial(sum_request, _ROW, "rest"),
        connections=16,
        aims=(Aim("MLServer", 4.5), Aim("bare handler", 0.65)),
    ),
    Case(
        name="rest iris",
        title="REST iris 1x4 (scikit-learn), 16 connections",
        make=iris_request,
        connections=16,
        aims=(Aim("MLServer", 1.8),),
    ),
    Case(
        name="grpc 1x4",
        title="gRPC sum 1x4, 16 in flight",
        kind="grpc",
        make=partial(sum_request, _ROW, "grpc"),
        connections=16,
        aims=(Aim("MLServer", 1.8), Aim("KServe SDK", 1.25)),
    ),
    Case(
        name="rest 128x128",
        title="REST sum 128x128 JSON, 8 connections",
        make=partial(sum_request, _SQUARE, "rest"),
        connections=8,
        aims=(Aim("MLServer", 2.5),),
    ),
    Case(
        name="rest 1x1000000",
        title="REST sum 1x1,000,000 JSON (9 MB), 4 connections",
        make=partial(sum_request, _LONG, "rest"),
        connections=4,
        least_seconds=3,
        aims=(Aim("MLServer", 3),),
    ),
    Case(
        name="binary 1x1000000",
        title="REST sum 1x1,000,000 binary (4 MB), 4 connections",
        make=partial(sum_request, _LONG, "binary"),
        connections=4,
        least_seconds=3,
        aims=(Aim("", 200),),
    ),
    Case(
        name="grpc 1x1000000",
        title="gRPC sum 1x1,000,000 raw (4 MB), 4 in flight",
        kind="grpc",
        make=partial(sum_request, _LONG, "grpc"),
        connections=4,
        least_seconds=3,
        aims=(Aim("MLServer", 9), Aim("KServe SDK", 1)),
    ),
    Case(
        name="batching",
        title="5 ms model with batching, 64 connections (ideal 6,400)",
        make=partial(slow_request, "slow"),
        connections=64,
        aims=(Aim("MLServer", 3),),
    ),
    Case(
        name="batching, plain def",
        title="the same as a plain `def predict`",
        make=partial(slow_request, "plain-slow"),
        connections=64,
        aims=(Aim("MLServer", 3),),
        instead="batching",
    ),
    Case(
        name="workers: rest iris",
        title="default workers, both CPUs: REST iris, 16 connections",
        make=iris_request,
        connections=16,
        aims=(Aim("MLServer", 2),),
        workers=True,
    ),
)
