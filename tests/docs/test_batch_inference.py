"""The example of docs/batch-inference.md, as it is written."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from mlserver_core.cli.inference.batch import _CALLS_PER_WORKER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "batch-inference.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def without_inference_ids(text):
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        line["parameters"].pop("inference_id", None)
    return lines


def test_the_example_gives_the_answers_of_the_page(serve, tmp_path):
    start, infer = map(shlex.split, blocks("sh"))
    assert (start[:2], infer[:2]) == (["mlserver", "start"], ["mlserver", "infer"])
    server = serve(ROOT / start[2])
    requests, answers = blocks("jsonl")
    (tmp_path / "requests.jsonl").write_text(requests, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "mlserver_core.cli.main", *infer[1:], "-u", server.url],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=30,
    )
    written = (tmp_path / "answers.jsonl").read_text(encoding="utf-8")
    assert without_inference_ids(written) == without_inference_ids(answers)
    assert ended.returncode == 1
    words = re.compile(r"[\d.]+ seconds, [\d.]+ lines")
    (summary,) = blocks("text")
    assert words.sub("", ended.stderr) == words.sub("", summary)


def test_the_page_says_how_many_calls_are_held():
    assert f"at most {_CALLS_PER_WORKER} calls' lines per worker" in PAGE
