"""The plugin of the documentation, made as it says, installed and found."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")


def made_of_the_page(folder):
    """Makes the plugin, and writes every file of the page in place of the one that was made."""
    make, enter, *_ = blocks_of("sh")[0].splitlines()
    assert make.startswith("mlserver ")
    folder.mkdir()
    run(sys.executable, "-m", "mlserver_core.cli.main", *shlex.split(make)[1:], cwd=folder)
    folder /= enter.removeprefix("cd ")
    named = r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```"
    blocks = re.findall(named, PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    for name, text in blocks:
        assert (folder / name).exists()
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def blocks_of(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def run(*command, **options):
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_table_names_every_file_that_is_made_for_its_author(tmp_path):
    folder = made_of_the_page(tmp_path / "source")
    made = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    unsaid = {
        ".gitignore",
        *(f"src/mlserver_core_threshold/{each}" for each in ("__init__.py", "py.typed")),
    }
    rows = re.findall(r"^\| (`.+?`) \|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall("`(.+?)`", row)} == made - unsaid


def test_plugin_as_printed_can_be_built_installed_tested_and_serves(tmp_path, serve):
    source = made_of_the_page(tmp_path / "source")
    pip = [sys.executable, "-m", "pip", "-q"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", source)
    [wheel] = (tmp_path / "dist").glob("mlserver_core_threshold-0.1.0-*.whl")
    site = tmp_path / "site"
    run(*pip, "install", "--no-deps", "--target", site, wheel)
    paths = os.pathsep.join([str(site), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    environ = {**os.environ, "PYTHONPATH": paths}

    run(sys.executable, "-m", "pytest", "-q", source / "tests", env=environ, cwd=tmp_path)

    command = [sys.executable, "-m", "mlserver_core.cli.main", "plugins", "--json"]
    listed = run(*command, env=environ)
    plugins = {row["plugin"]: row["runtimes"] for row in json.loads(listed)}
    assert plugins["threshold"] == ["threshold"]

    server = serve(source / "models", PYTHONPATH=paths)
    [call] = re.findall(r"^curl .*$", PAGE, re.MULTILINE)
    answer = run(*shlex.split(call.replace(":8080", f":{server.http_port}")), "-s")
    [expected] = re.findall(r"^answers\n\n```json\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE)
    assert answer == expected
