from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from mlserver_core.hooks import specs
from mlserver_core.hooks.manager import PluginManager

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", PluginManager.hooks())
def test_every_hook_has_a_heading_with_its_exact_signature(hook):
    arguments = ", ".join(inspect.signature(getattr(specs, hook)).parameters)
    assert f"\n## {hook}({arguments})\n" in PAGE


def test_no_heading_is_about_a_hook_that_is_not_there():
    headings = [line for line in PAGE.splitlines() if line.startswith("## mlserver_")]
    assert len(headings) == len(PluginManager.hooks())
