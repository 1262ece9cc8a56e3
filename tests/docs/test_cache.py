from __future__ import annotations

import re
from pathlib import Path

from mlserver_core.middlewares.request_keys import IGNORED_HEADERS

PAGE = (Path(__file__).parents[2] / "docs" / "cache.md").read_text(encoding="utf-8")


def test_the_page_lists_every_header_that_makes_no_difference():
    section = PAGE.partition("## Headers that make no difference\n")[2].partition("\n##")[0]
    rows = [row for row in section.splitlines() if row.startswith("|")]
    assert re.findall(r"`([\w*-]+)`", "\n".join(rows)) == list(IGNORED_HEADERS)
