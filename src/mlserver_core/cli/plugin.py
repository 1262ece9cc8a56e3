"""Adds the built-in subcommands."""

from __future__ import annotations

import click

from mlserver_core.cli.build import build
from mlserver_core.cli.check_batching import check_batching
from mlserver_core.cli.dockerfile import dockerfile
from mlserver_core.cli.healthcheck import healthcheck
from mlserver_core.cli.infer import infer
from mlserver_core.cli.init import init
from mlserver_core.cli.plugins import plugins
from mlserver_core.cli.start import start
from mlserver_core.hooks import hookimpl


@hookimpl
def mlserver_add_commands(commands: click.Group) -> None:
    """The subcommands that come with the server."""
    commands.add_command(start)
    commands.add_command(infer)
    commands.add_command(init)
    commands.add_command(build)
    commands.add_command(dockerfile)
    commands.add_command(healthcheck)
    commands.add_command(check_batching)
    commands.add_command(plugins)
