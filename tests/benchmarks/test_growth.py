"""What measures how cost grows runs, and what it finds can be drawn; the figures decide nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LACKING = [tool for tool in ("wrk", "h2load", "taskset") if shutil.which(tool) is None]


def run(*arguments):
    environ = {name: value for name, value in os.environ.items() if "MLSERVER" not in name}
    command = [sys.executable, ROOT / "benchmarks" / "growth.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


KEYS = {
    "sizes": {"format", "elements", "per_second", "cpu"},
    "connections": {"model", "connections", "per_second", "p50", "p99"},
    "models": {"models", "seconds to ready", "bytes", "one", "all"},
    "workers": {"model", "workers", "per_second", "bytes"},
    "overload": {"model", "rate", "arrived", "goodput", "refused", "p99"},
}


@pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}")
@pytest.mark.server
@pytest.mark.parametrize("part", KEYS)
def test_each_part_is_measured(part, tmp_path):
    results = tmp_path / "results.json"
    results.write_text('{"other": 1}')
    run("--quick", "--only", part, "--results", results)
    found = json.loads(results.read_text())
    assert found["other"] == 1
    assert found[part]["rows"]
    for row in found[part]["rows"]:
        assert row.keys() >= KEYS[part]
    if part == "overload":
        for row in found[part]["rows"]:
            assert row["failed"] == 0
            assert row["refused"] > 0


def test_the_results_are_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    run("--plot", "--images", tmp_path)
    drawn = {path.stem.removeprefix("growth-") for path in tmp_path.glob("*.svg")}
    assert drawn == set(KEYS)
