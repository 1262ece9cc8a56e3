"""Each benchmark runs; what it finds decides nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script, *arguments):
    environ = {name: value for name, value in os.environ.items() if "MLSERVER" not in name}
    command = [sys.executable, ROOT / "benchmarks" / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.server
def test_the_hop_is_measured_both_ways():
    lines = run("hop.py", "--rounds", "1", "--calls", "2")
    figures = json.loads(lines[-1])
    for case in ("1x4, sum", "1x4, echo", "1x4, thread", "4 MB, sum", "4 MB, echo"):
        assert set(figures[case]) == {"in process", "worker", "overhead p50"}
    assert set(figures["per second, 32 in flight"]) == {"in process", "worker"}
    assert figures["bare echo"]["p50"] > 0


@pytest.mark.server
def test_a_bare_echo_is_measured():
    [line] = run("bare_echo.py", "--calls", "2")
    assert line.startswith("bare echo: p50 ")


@pytest.mark.server
def test_memory_is_looked_at_between_requests_of_every_kind():
    lines = run("memory.py", "--requests", "200", "--every", "100")
    assert [line.split()[0] for line in lines[:3]] == ["requests", "100", "200"]
    assert lines[3].endswith("{0: 20, 200: 160, 400: 20}")
    assert [line.split(":")[0] for line in lines[4:]] == ["server", "worker 1", "worker 2"]


@pytest.mark.server
def test_the_wire_is_measured():
    lines = run("wire.py", "--calls", "2")
    assert [line.split(":")[0] for line in lines] == ["1x4 FP32", "4 MB FP32"]
