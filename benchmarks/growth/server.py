"""Servers to measure: ``mlserver start`` in a process of its own, on free ports. Linux only."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

CODE = Path(__file__).with_name("served.py")
LISTENING = re.compile(r"(REST|gRPC) server listening on (?:http://)?(\S+)$", re.MULTILINE)
STARTED = "Started with"
#: Seconds that a server may take to be ready.
PATIENCE = 300.0


@attrs.frozen(kw_only=True)
class Server:
    """A server that is ready.

    Attributes:
        pid: of its own process, which may have workers as children.
        rest: where REST listens, as ``HOST:PORT``.
        grpc: where gRPC listens.
        seconds: from the start of its process until it was ready.
    """

    pid: int
    rest: str
    grpc: str
    seconds: float

    def infer_url(self, model: str) -> str:
        """Where a model is asked over REST."""
        return f"http://{self.rest}/v2/models/{model}/infer"

    def cpu(self) -> float:
        """Seconds of processor time that it and its workers have had."""
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # proc(5): utime and stime
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes that it and its workers hold; what they share counts once."""
        return sum(self._read(pid, "smaps_rollup", "Pss") for pid in self._pids()) * 1024

    def threads(self) -> int:
        """How many threads its own process has."""
        return self._read(self.pid, "status", "Threads")

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *map(int, children.split())]

    @staticmethod
    def _read(pid: int, file: str, name: str) -> int:
        text = Path(f"/proc/{pid}/{file}").read_text()
        found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"/proc/{pid}/{file} says nothing of {name}")
        return int(found[1])


@contextmanager
def serving(
    models: Mapping[str, Mapping[str, Any]], *, workers: int = 0, cpu: int | None = None
) -> Iterator[Server]:
    """A server with models of ``served.py``, each in a folder of its own with a copy of the code.

    Args:
        models: by name, what stands in their ``model-settings.json`` besides it.
        workers: ``parallel_workers``.
        cpu: the processor it is kept on; None for all.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in models.items():
            model = Path(folder, name)
            model.mkdir()
            shutil.copy(CODE, model / "served.py")
            text = json.dumps({"name": name, **settings})
            (model / "model-settings.json").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "mlserver_core.cli.main", "start", folder]
        command += ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
        command += ["--set", f"parallel_workers={workers}"]
        log = Path(folder, "log")
        start = time.monotonic()
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(on_cpu(command, cpu), stdout=output, stderr=output)
        try:
            addresses = _wait_until_ready(process, log)
            yield Server(
                pid=process.pid,
                rest=addresses["REST"],
                grpc=addresses["gRPC"],
                seconds=time.monotonic() - start,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def on_cpu(command: list[str], cpu: int | None) -> list[str]:
    """The command, kept on a processor."""
    return command if cpu is None else ["taskset", "--cpu-list", str(cpu), *command]


def two_cpus() -> tuple[int | None, int | None]:
    """A processor for the server and another for its load; None for both where there is one."""
    known = sorted(os.sched_getaffinity(0))
    if len(known) < 2 or shutil.which("taskset") is None:
        return None, None
    return known[0], known[-1]


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        text = log.read_text(encoding="utf-8")
        if STARTED in text:
            return dict(LISTENING.findall(text))
        time.sleep(0.005)
    raise RuntimeError(f"the server did not start:\n{log.read_text(encoding='utf-8')}")
