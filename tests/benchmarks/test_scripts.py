"""Each benchmark runs; what it finds decides nothing."""

import json
import os
import shutil
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


@pytest.mark.server
def test_stages_of_a_request_are_timed():
    lines = run("stages.py", "--requests", "20")
    assert lines[0].endswith("from bytes to bytes")
    assert all(float(line.split()[0]) > 0 for line in lines), lines


@pytest.mark.server
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_servers_are_measured_beside_each_other_into_a_page(tmp_path):
    page = tmp_path / "RESULTS.md"
    cases = ("rest 1x4", "grpc 1x4", "binary 1x1000000")
    run("run.py", "--quick", "--here", "--peers", "bare", "--output", page, "--cases", *cases)
    text = page.read_text(encoding="utf-8")
    [row] = [line for line in text.splitlines() if line.startswith("| REST sum 1x4, 16")][:1]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[0] == "REST sum 1x4, 16 connections"
    assert float(cells[1].replace(",", "")) > 0
    assert cells[2].endswith(")")
    assert cells[3] == ">= 4.5 x MLServer; >= 0.65 x bare handler"
    assert cells[4].split("; ")[0] == "not measured"
    assert "bare handler: aiohttp" in text


@pytest.mark.server
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_server_that_answers_wrongly_is_not_measured(tmp_path):
    models = ROOT / "benchmarks" / "side_by_side" / "served" / "models.py"
    wrong = tmp_path / "benchmarks"
    shutil.copytree(ROOT / "benchmarks", wrong)
    code = models.read_text(encoding="utf-8").replace("array.sum()]", "array.sum() + 1]")
    (wrong / "side_by_side" / "served" / "models.py").write_text(code, encoding="utf-8")
    command = [sys.executable, wrong / "run.py", "--quick", "--here", "--peers"]
    command += ["--cases", "rest 1x4", "--output", tmp_path / "page"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "model sum answered" in done.stderr
    assert not (tmp_path / "page").exists()
