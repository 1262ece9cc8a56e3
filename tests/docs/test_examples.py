"""Every block of code in the documentation is run or read."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import orjson
import pytest

from mlserver_core.hooks.manager import PluginManager
from mlserver_core.settings import ModelSettings, Settings
from mlserver_core.settings.loading import load_model_settings, load_settings

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("examples/**/*.md")]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language):
    found = []
    for page in sorted(PAGES):
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match[1] == language:
                line = text[: match.start()].count("\n") + 1
                name = f"{page.relative_to(ROOT)}:{line}"
                found.append(pytest.param(match[2], name, id=name))
    return found


#: Pages whose blocks make up one thing, which a test of their own runs.
WHOLE = ("README", "docs/writing-a-plugin.md")
PYTHON = [each for each in blocks("python") if not each.id.startswith(WHOLE)]


@pytest.mark.parametrize(("code", "name"), PYTHON)
def test_python_block_runs_and_what_it_hooks_is_accepted(code, name):
    namespace = {"__name__": name}
    exec(compile(code, name, "exec"), namespace)
    hooks = {key: value for key, value in namespace.items() if key.startswith("mlserver_")}
    if "hookimpl" in namespace:
        assert hooks
        plugin = type("Plugin", (), {key: staticmethod(value) for key, value in hooks.items()})
        manager = PluginManager()
        manager.register(name, plugin)
        assert manager.hooks_of(name) == list(hooks)


@pytest.mark.parametrize(("text", "name"), blocks("json"))
def test_json_block_is_settings_without_a_problem(text, name, tmp_path):
    value = orjson.loads(text)
    if "implementation" in value:
        path = tmp_path / "model-settings.json"
        path.write_text(text, encoding="utf-8")
        loaded = load_model_settings(path, {}, strict=True)
        assert isinstance(loaded.value, ModelSettings)
    elif "error" not in value and "outputs" not in value and "inputs" not in value:
        (tmp_path / "settings.json").write_text(text, encoding="utf-8")
        loaded = load_settings(tmp_path, {}, strict=True)
        assert isinstance(loaded.value, Settings)
        assert loaded.warnings == ()


@pytest.mark.parametrize(("text", "name"), blocks("ini"))
def test_ini_block_can_be_parsed(text, name):
    parser = configparser.ConfigParser()
    parser.read_string(text)
    assert parser.sections()


def test_links_between_pages_lead_somewhere():
    link = re.compile(r"\]\(([^)#:]+)(?:#[\w-]+)?\)")
    for page in PAGES:
        for target in link.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
