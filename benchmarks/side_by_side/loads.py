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


def check_rest(port: int, request: Request) -> None:
    """Asks once over REST.

    Raises:
        SystemExit: the answer is not the right one.
    """
    asked = urllib.request.Request(_url(port, request), request.body, request.headers)
    try:
        with urllib.request.urlopen(asked) as answer:
            _compare(answer.read(), "rest", request)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{asked.full_url}: {error}: {error.read()[:300]!r}") from None


def load_rest(
    port: int, request: Request, connections: int, seconds: float, cpu: int | None, folder: Path
) -> Measured:
    """Asks over REST from a number of connections, each again when it has its answer.

    Args:
        port: of the server.
        request: what every connection asks.
        connections: how many.
        seconds: how long.
        cpu: the processor that wrk may use; None for all.
        folder: where the body is put for wrk.
    """
    body = folder / "body"
    body.write_bytes(request.body)
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    options = [part for header in headers for part in ("-H", header)]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--timeout", "60s"]
    script = ["-s", str(_HERE / "load.lua"), _url(port, request), "--", str(body)]
    found = orjson.loads(_run([*_pinned(cpu), *command, *options, *script]).splitlines()[-1])
    return Measured(
        rate=found["answers"] / found["us"] * 1e6,
        p50=found["p50"] / 1e6,
        p99=found["p99"] / 1e6,
        wrong=found["wrong"],
    )


def check_grpc(port: int, request: Request) -> None:
    """Asks once over gRPC; raises SystemExit as ``check_rest``."""
    import grpc  # noqa: PLC0415  # most cases do without

    with grpc.insecure_channel(f"127.0.0.1:{port}", _OPTIONS) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            _compare(call(request.body, wait_for_ready=True, timeout=30), "grpc", request)
        except grpc.RpcError as error:
            raise SystemExit(f"gRPC on port {port}: {error}") from None


#: A message of 4 MB is a little more than gRPC takes by default.
_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


def load_grpc(
    port: int, request: Request, in_flight: int, seconds: float, cpu: int | None, folder: Path
) -> Measured:
    """Asks over gRPC on one connection; the arguments are those of ``load_rest``."""
    body = folder / "message"
    body.write_bytes(request.body)
    command = [sys.executable, str(_HERE / "grpc_load.py"), str(port), str(body)]
    output = _run([*_pinned(cpu), *command, str(in_flight), str(seconds), str(request.expected)])
    return Measured(**orjson.loads(output))


def _url(port: int, request: Request) -> str:
    return f"http://127.0.0.1:{port}/v2/models/{request.model}/infer"


def _pinned(cpu: int | None) -> list[str]:
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


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
