"""Each micro-benchmark runs, and finds the right result; how long it takes decides nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.server
def test_each_micro_benchmark_runs_once():
    environ = {name: value for name, value in os.environ.items() if "MLSERVER" not in name}
    command = [sys.executable, "-m", "pytest", "benchmarks/micro", "--benchmark-disable", "-v"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"=+ \d\d passed in ", done.stdout), done.stdout
    for module in ("batcher", "codecs", "engine", "hop", "wire"):
        assert f"benchmarks/micro/test_{module}.py" in done.stdout
