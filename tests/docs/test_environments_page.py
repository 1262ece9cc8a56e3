from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## What errors mean")[1]
TEXTS = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (`.+?) \|", TABLE, re.MULTILINE)))
SOURCES = ("executors/processes", "engine")


@pytest.fixture(scope="module")
def messages():
    """The sources, with texts that go over several lines as one."""
    root = ROOT / "src" / "mlserver_core"
    files = [file for name in SOURCES for file in sorted((root / name).rglob("*.py"))]
    code = "".join(file.read_text("utf-8") for file in files)
    return re.sub(r'"\s+f?"', "", code)


@pytest.mark.parametrize("text", TEXTS)
def test_every_error_that_the_page_explains_is_there(messages, text):
    assert text in messages or text in map(os.strerror, (errno.ENOSPC, errno.EACCES))


def test_the_page_explains_some():
    assert len(TEXTS) > 12
