"""The entry point of the command ``mlserver``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click

from mlserver_core.engine.parts import load_plugins
from mlserver_core.errors import PluginError
from mlserver_core.hooks.manager import TRACE_VARIABLE
from mlserver_core.settings import Settings


class Commands(click.Group):
    """A group in which a second command of the same name is refused."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Adds a subcommand; raises ValueError when the name is taken."""
        taken = name or cmd.name
        if taken in self.commands:
            raise ValueError(f"there is a command {taken!r} already")
        super().add_command(cmd, name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process with its exit code."""
    if os.environ.get(TRACE_VARIABLE, "0") not in ("", "0"):
        # Until a command sets up its own logging; not to standard output, which may be JSON.
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    try:
        commands = make_commands()
    except PluginError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    commands.main(args=arguments, prog_name="mlserver")


def make_commands() -> click.Group:
    """The command group, with the subcommands that plugins bring.

    Raises:
        PluginError: a plugin cannot be used.
    """
    plugins = load_plugins(os.environ)
    commands = Commands(
        name="mlserver",
        help="Serves Python models over REST and gRPC.",
        context_settings={"obj": plugins, "help_option_names": ["-h", "--help"]},
    )
    click.version_option(Settings().server_version, prog_name="mlserver")(commands)
    plugins.collect("mlserver_add_commands", commands=commands)
    return commands


if __name__ == "__main__":
    main()
