"""The calls of the gRPC pages, as they are written, against the models of those pages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "grpc"


def block(page, kind, name):
    text = (PAGES / page).read_text(encoding="utf-8")
    marked = rf"<!-- {kind}: {re.escape(name)} -->\n```\w+\n(.*?)\n```"
    return re.search(marked, text, re.DOTALL)[1]


def test_stream_of_the_page_gets_the_answers_of_the_page(serve, write, tmp_path):
    for name in ("models.py", "model-settings.json"):
        write(name, block("streams.md", "file", name))
    server = serve(tmp_path)
    code = block("streams.md", "call", "stream").replace("8081", str(server.grpc_port))
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == block("streams.md", "answer", "stream")
