"""Load on a server: wrk for REST, a grpcio client for gRPC. Every answer is looked at."""

from __future__ import annotations

import math
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import attrs
import orjson

from side_by_side.requests import Request, read_answer

_HERE = Path(__file__).parent


@attrs.frozen(kw_only=True)
class Measured:
    """What a load saw.

    Attributes:
        rate: answers in a second.
        p50, p99: seconds that half, and all but one in a hundred, took at most.
        wrong: answers that were errors, or not the right ones.
    """

    rate: float
    p50: float
    p99: float
    wrong: int


@attrs.frozen(kw_only=True)
class Load:
    """Many of one request.

    Attributes:
        port: of the server.
        request: what is asked, again whenever an answer is there.
        connections: how many ask side by side; over gRPC, calls in flight on one connection.
        cpu: the processor that the client may use; None for all.
        folder: where the body is put for the client.
    """

    port: int
    request: Request
    connections: int
    cpu: int | None
    folder: Path

    @property
    def url(self) -> str:
        """Of inference over REST."""
        return f"http://127.0.0.1:{self.port}/v2/models/{self.request.model}/infer"

    def run(self, command: Sequence[str]) -> str:
        """What the client prints."""
        pinned = [] if self.cpu is None else ["taskset", "-c", str(self.cpu)]
        return _run([*pinned, *command])

    def write_body(self) -> str:
        """The path of a file with the body."""
        path = self.folder / "body"
        path.write_bytes(self.request.body)
        return str(path)


def check_rest(load: Load) -> None:
    """Asks once over REST.

    Raises:
        SystemExit: the answer is not the right one.
    """
    asked = urllib.request.Request(load.url, load.request.body, load.request.headers)
    try:
        with urllib.request.urlopen(asked) as answer:
            _compare(answer.read(), "rest", load.request)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{load.url}: {error}: {error.read()[:300]!r}") from None


def load_rest(load: Load, seconds: float) -> Measured:
    """Asks over REST for so many seconds."""
    headers = [f"{name}: {value}" for name, value in load.request.headers.items()]
    options = [part for header in headers for part in ("-H", header)]
    length = f"-d{math.ceil(seconds)}s"
    command = ["wrk", "-t1", f"-c{load.connections}", length, "--timeout", "60s"]
    script = ["-s", str(_HERE / "load.lua"), load.url, "--", load.write_body()]
    found = orjson.loads(load.run([*command, *options, *script]).splitlines()[-1])
    return Measured(
        rate=found["answers"] / found["us"] * 1e6,
        p50=found["p50"] / 1e6,
        p99=found["p99"] / 1e6,
        wrong=found["wrong"],
    )


def check_grpc(load: Load) -> None:
    """Asks once over gRPC; raises SystemExit as ``check_rest``."""
    import grpc  # most cases do without

    with grpc.insecure_channel(f"127.0.0.1:{load.port}", OPTIONS) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            answer = call(load.request.body, wait_for_ready=True, timeout=30)
        except grpc.RpcError as error:
            raise SystemExit(f"gRPC on port {load.port}: {error}") from None
        _compare(answer, "grpc", load.request)


#: A message of 4 MB is a little more than gRPC takes by default.
OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


def load_grpc(load: Load, seconds: float) -> Measured:
    """Asks over gRPC for so many seconds."""
    command = [sys.executable, str(_HERE / "grpc_load.py"), str(load.port), load.write_body()]
    more = [str(load.connections), str(seconds), str(load.request.expected)]
    return Measured(**orjson.loads(load.run([*command, *more])))


def _compare(body: bytes, kind: str, request: Request) -> None:
    try:
        answer = read_answer(body, kind)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if not math.isclose(answer, request.expected, rel_tol=1e-4):
        raise SystemExit(f"model {request.model} answered {answer}, not {request.expected}")


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"this failed: {' '.join(command)}\n{done.stdout}")
    return done.stdout
