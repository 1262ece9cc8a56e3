"""The plugin of the documentation, made of its blocks, installed and found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")


def test_plugin_as_printed_can_be_installed_and_is_listed_and_serves(tmp_path, serve):
    source = tmp_path / "source"
    blocks = re.findall(r"`([\w./]+)`[^`]*:\n\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in blocks][:2] == ["pyproject.toml", "setup.cfg"]
    for name, text in [*blocks, ("src/mlserver_core_threshold/__init__.py", "")]:
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", site, source], check=True, capture_output=True)

    environ = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "mlserver_core.cli.main", "plugins", "--json"]
    listed = subprocess.run(command, check=True, capture_output=True, env=environ).stdout
    plugins = {row["plugin"]: row["runtimes"] for row in json.loads(listed)}
    assert plugins["threshold"] == ["threshold"]

    settings = re.search(r"```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "model-settings.json").write_text(settings, encoding="utf-8")
    server = serve(folder, PYTHONPATH=str(site))
    assert any("Loaded model above-half" in line for line in server.lines)
