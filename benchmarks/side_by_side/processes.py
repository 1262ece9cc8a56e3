"""Servers as processes: on a processor of their own, until they are ready, and their memory."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

#: Seconds that a server may take to start, and to stop.
_LONGEST_START = 60.0
_LONGEST_STOP = 15.0
#: Seconds between two looks whether it is ready.
_PERIOD = 0.005


@attrs.frozen(kw_only=True)
class Running:
    """A server that is ready.

    Attributes:
        pid: of its first process.
        http_port, grpc_port: where it listens.
        start_seconds: from its start until it said that it is ready.
    """

    pid: int
    http_port: int
    grpc_port: int
    start_seconds: float

    def memory(self) -> int:
        """Bytes that the server and its children take; what they share counts once."""
        return sum(map(_proportional_size, _family(self.pid)))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def running(
    command: Sequence[str], ports: Sequence[int], cpu: int | None, log: Path
) -> Iterator[Running]:
    """Starts a server, waits until it is ready, and ends it in the end.

    Args:
        command: starts it.
        ports: of HTTP and gRPC.
        cpu: the one processor it may use; None for all.
        log: takes what it prints.

    Raises:
        SystemExit: it ended, or was not ready in time; the end of the log is shown.
    """
    without = ("MLSERVER", "PYTHONDONTWRITEBYTECODE")  # a server may keep what it has compiled
    environ = {key: os.environ[key] for key in os.environ if not key.startswith(without)}
    pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
    with log.open("w") as output:
        begun = time.monotonic()
        process = subprocess.Popen(
            [*pinned, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
        try:
            _await_ready(process, ports[0], log)
            seconds = time.monotonic() - begun
            yield Running(
                pid=process.pid, http_port=ports[0], grpc_port=ports[1], start_seconds=seconds
            )
        finally:
            _end(process)


def _await_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _LONGEST_START
    while process.poll() is None and time.monotonic() < deadline:
        if _is_ready(port):
            return
        time.sleep(_PERIOD)
    raise SystemExit(f"a server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server, and whatever it has left behind."""
    process.terminate()
    try:
        process.wait(_LONGEST_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for tasks in Path(f"/proc/{pid}/task").iterdir():
        for child in (tasks / "children").read_text().split():
            yield from _family(int(child))


def _proportional_size(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
