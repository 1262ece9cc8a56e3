from __future__ import annotations

from mlserver_core.cli.main import Commands
from mlserver_core.cli.plugin import mlserver_add_commands


def test_the_built_in_commands_are_there():
    commands = Commands(name="mlserver")
    mlserver_add_commands(commands)
    assert sorted(commands.commands) == ["check-batching", "infer", "init", "plugins", "start"]
    assert all(command.help for command in commands.commands.values())
