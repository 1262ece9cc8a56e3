"""The calls of docs/limits.md, as they are written, against the model of that page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mlserver_core.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "limits.md").read_text(encoding="utf-8")
MARKED = re.compile(r"<!-- (file|call|answer): (.+?) -->\n```\w+\n(.*?)\n```", re.DOTALL)


def blocks(kind):
    return {name: text for is_, name, text in MARKED.findall(PAGE) if is_ == kind}


def test_calls_of_the_page_get_the_answers_of_the_page(serve, write, tmp_path):
    for name, text in blocks("file").items():
        write(name, text)
    server = serve(tmp_path)
    answers = blocks("answer")
    assert list(blocks("call")) == list(answers) == ["late", "large"]
    for name, code in blocks("call").items():
        command = ["sh", "-c", code.replace(":8080", f":{server.http_port}")]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        assert done.stdout.strip() == answers[name], done.stderr


@pytest.mark.parametrize("page", ["limits.md", "shutdown.md"])
def test_defaults_of_the_page_are_those_of_the_settings(page):
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    assert rows
    for name, shown in rows:
        value = getattr(Settings(), name)
        text = (
            "none"
            if value is None
            else f"{value / 2**20:g} MiB"
            if value >= 2**20
            else f"{value:g}"
        )
        assert shown == text


def test_the_log_line_of_the_page_is_what_the_watchdog_says():
    source = (Path(__file__).parents[1] / "engine" / "test_watchdog.py").read_text("utf-8")
    advice = re.search(r'^ADVICE = "(.+)"$', source, re.MULTILINE)[1]
    assert f"s in predict (models.py:12): {advice}\n" in PAGE
