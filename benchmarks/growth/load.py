"""Load in a closed loop: each connection sends its next request when it has its answer."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
from tensors import make_array, make_request

from growth.server import Server, on_cpu
from mlserver_core.grpc.messages import load_messages
from mlserver_core.wire.binary_client import LENGTH_HEADER, encode_binary_request
from mlserver_core.wire.json_client import encode_request
from mlserver_core.wire.protobuf_client import encode_request as fill_message

T = TypeVar("T")
Point = TypeVar("Point")

SCRIPT = Path(__file__).with_name("closed_loop.lua")
INFER = "/inference.GRPCInferenceService/ModelInfer"
#: What both tools are given beyond the time that they send, in seconds.
PATIENCE = 120


@attrs.frozen(kw_only=True)
class Effort:
    """How long to measure.

    Attributes:
        seconds: of each measurement.
        rounds: how many of them; the median counts.
        points: how many of the values along an axis; None for all.
        server_cpu: the processor of the server; None for all.
        load_cpu: that of the load.
    """

    seconds: int
    rounds: int
    points: int | None
    server_cpu: int | None
    load_cpu: int | None

    def pick(self, values: Sequence[T]) -> Sequence[T]:
        """The values to measure at."""
        return values[: self.points]


@attrs.frozen(kw_only=True)
class Load:
    """What a load has found.

    Attributes:
        per_second: requests that were answered.
        cpu: seconds of processor time that the server had for each.
        p50: the median of the times until an answer, in seconds; None where the tool has none.
        p99: the same of the 99th percentile.
    """

    per_second: float
    cpu: float
    p50: float | None = None
    p99: float | None = None


@attrs.frozen(kw_only=True)
class Body:
    """What is sent, and the headers that say what it is."""

    content: bytes
    headers: dict[str, str]


def json_body(shape: tuple[int, ...]) -> Body:
    """A JSON request with one FP32 tensor."""
    content = encode_request(make_request(make_array(shape).ravel(), shape))
    return Body(content=content, headers={"Content-Type": "application/json"})


def binary_body(shape: tuple[int, ...]) -> Body:
    """The same with a binary tensor, which asks for a binary answer."""
    content, length = encode_binary_request(make_request(make_array(shape), shape))
    headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(length)}
    return Body(content=content, headers=headers)


def grpc_body(shape: tuple[int, ...]) -> Body:
    """The same as a gRPC message of raw contents to ``m0``, in its frame."""
    message = load_messages().get("inference.ModelInferRequest")(model_name="m0")
    fill_message(make_request(make_array(shape), shape), message, raw=True)
    content = message.SerializeToString()
    frame = b"\0" + len(content).to_bytes(4, "big") + content
    return Body(content=frame, headers={"content-type": "application/grpc", "te": "trailers"})


def load_rest(
    server: Server, body: Body, connections: int, effort: Effort, *, models: int = 1
) -> Load:
    """Asks so many models (``m0``, ``m1``, ...) in turn over REST, with wrk."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body.content)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{effort.seconds}s", "--timeout", "60s"]
        command += ["-s", str(SCRIPT), f"http://{server.rest}", "--", file.name, str(models)]
        command += [f"{name}={value}" for name, value in body.headers.items()]
        start = server.cpu()
        found = json.loads(_run(command, effort).partition("FOUND ")[2].splitlines()[0])
    if found["failed"] or not found["requests"]:
        raise RuntimeError(
            f"{connections} connections: {found['failed']} requests failed, and "
            f"{found['requests']} were answered"
        )
    return Load(
        per_second=found["requests"] / found["seconds"],
        cpu=(server.cpu() - start) / found["requests"],
        p50=found["p50"],
        p99=found["p99"],
    )


def load_grpc(server: Server, body: Body, connections: int, effort: Effort) -> Load:
    """Asks over gRPC, with h2load."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body.content)
        file.flush()
        command = ["h2load", "-t1", f"-c{connections}", "-m1", f"-D{effort.seconds}"]
        command += ["-w26", "-W26", "-d", file.name]  # windows of 64 MiB, as gRPC clients open them
        for name, value in body.headers.items():
            command += ["-H", f"{name}: {value}"]
        command.append(f"http://{server.grpc}{INFER}")
        start = server.cpu()
        text = _run(command, effort)
    rate = re.search(r"finished in \S+, (\S+) req/s", text)
    counts = re.search(r"(\d+) succeeded, (\d+) failed", text)
    if rate is None or counts is None or int(counts[2]) or not int(counts[1]):
        raise RuntimeError(f"requests failed:\n{text}")
    return Load(per_second=float(rate[1]), cpu=(server.cpu() - start) / int(counts[1]))


def in_turns(points: Mapping[Point, Callable[[], Load]], rounds: int) -> dict[Point, Load]:
    """Measures all points, and then all again, so many times: what else the machine does meets
    all of them. Of each figure the median over the rounds counts.
    """
    found: dict[Point, list[Load]] = {point: [] for point in points}
    for _ in range(rounds):
        for point, measure in points.items():
            found[point].append(measure())
    return {point: _median_of(loads) for point, loads in found.items()}


def _run(command: list[str], effort: Effort) -> str:
    done = subprocess.run(
        on_cpu(command, effort.load_cpu),
        capture_output=True,
        text=True,
        check=False,
        timeout=effort.seconds + PATIENCE,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _median_of(loads: Sequence[Load]) -> Load:
    found = {}
    for field in attrs.fields(Load):
        values = [getattr(load, field.name) for load in loads]
        found[field.name] = None if None in values else statistics.median(values)
    return Load(**found)
