"""The calls of the REST pages, as they are written, against the models of those pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from mlserver_core.rest.cors import _HEADERS
from mlserver_core.settings.server import CORSSettings

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "rest").glob("*.md"))
#: Pages elsewhere that are written in the same way.
OTHERS = [DOCS / "cache.md", DOCS / "warmup.md"]
MARKED = re.compile(r"<!-- (file|call|answer): (.+?) -->\n```(\w+)\n(.*?)\n```", re.DOTALL)


def blocks(page, kind):
    """Language and text of the marked blocks of one kind, by name, in the page's order."""
    found = MARKED.findall(page.read_text(encoding="utf-8"))
    return {name: (language, text) for is_, name, language, text in found if is_ == kind}


def run(language, code, port):
    code = code.replace(":8080", f":{port}")
    command = [sys.executable, "-c", code] if language == "python" else ["sh", "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("page", PAGES + OTHERS, ids=lambda page: page.stem)
def test_calls_of_the_page_get_the_answers_of_the_page(serve, write, tmp_path, page):
    for name, (_, text) in blocks(page, "file").items():
        write(name, text)
    server = serve(tmp_path)
    answers = blocks(page, "answer")
    calls = blocks(page, "call")
    assert list(calls) == list(answers)
    for name, (language, code) in calls.items():
        done = run(language, code, server.http_port)
        said = done.stdout.replace("\r\n", "\n").strip()
        assert said == answers[name][1], f"{page.name}, {name}: {done.stderr}"


@pytest.mark.parametrize("page", PAGES + OTHERS, ids=lambda page: page.stem)
def test_every_block_of_the_page_is_marked_and_so_is_run(page):
    fences = len(re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert fences == 2 * len(MARKED.findall(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_protocol_page_leads_to_the_page(page):
    assert f"(rest/{page.name})" in (DOCS / "protocol.md").read_text(encoding="utf-8")


def test_cors_page_has_every_setting_with_its_default_and_the_headers_that_are_always_allowed():
    text = (DOCS / "rest" / "cors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE)
    defaults = attrs.asdict(CORSSettings()).items()
    assert rows == [
        (name, "unset" if value is None else f"`{json.dumps(value)}`") for name, value in defaults
    ]
    allowed = text.partition("Always allowed are ")[2].partition(". ")[0]
    assert tuple(re.findall(r"`([\w-]+)`", allowed)) == _HEADERS
