"""docs/commands.md has every command with every option."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from mlserver_core.cli.main import Commands
from mlserver_core.cli.plugin import mlserver_add_commands

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
COMMANDS = Commands(name="mlserver")
mlserver_add_commands(COMMANDS)


def section(name):
    found = re.search(rf"^## mlserver {name}\b.*\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE)
    assert found, f"no section for mlserver {name}"
    return found[1]


@pytest.mark.parametrize("name", sorted(COMMANDS.commands))
def test_the_section_of_a_command_has_all_its_options_and_no_others(name):
    text = section(name)
    options = [
        each
        for each in COMMANDS.commands[name].params
        if isinstance(each, click.Option) and not each.hidden
    ]
    for option in options:
        for spelling in option.opts:
            assert re.search(rf"`{re.escape(spelling)}[` ]", text), spelling
    spellings = {spelling for option in options for spelling in option.opts}
    documented = re.findall(
        r"`(--?[a-z][\w-]*)", "\n".join(re.findall(r"^\| (`-.*?) \|", text, re.MULTILINE))
    )
    assert set(documented) <= spellings
