"""Adds the built-in subcommands."""

from __future__ import annotations

import click

from mlserver_core.cli.build import build
from mlserver_core.cli.check_batching import check_batching
from mlserver_core.cli.dockerfile import dockerfile
from mlserver_core.cli.healthcheck import healthcheck
from mlserver_core.cli.infer import infer
from mlserver_core.cli.plugins import plugins
from mlserver_core.cli.start import start
from mlserver_core.hooks import hookimpl


@hookimpl
def mlserver_add_commands(commands: click.Group) -> None:
    """The subcommands that come with the server."""
    for command in (start, infer, build, dockerfile, healthcheck, check_batching, plugins):
        commands.add_command(command)
