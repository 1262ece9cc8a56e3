from __future__ import annotations

from mlserver_core.cli.main import Commands
from mlserver_core.cli.plugin import mlserver_add_commands


def test_the_built_in_commands_are_there():
    commands = Commands(name="mlserver")
    mlserver_add_commands(commands)
    names = "build check-batching dockerfile healthcheck infer init plugins start"
    assert sorted(commands.commands) == names.split()
    assert all(command.help for command in commands.commands.values())
