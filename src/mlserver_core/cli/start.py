"""``mlserver start``."""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path

import click

from mlserver_core.engine import main_loop
from mlserver_core.errors import PluginError, SettingsError, StartupError
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.logging.configuration import configure_logging
from mlserver_core.server import MLServer
from mlserver_core.settings import Settings
from mlserver_core.settings.loading import load_settings
from mlserver_core.settings.merging import Loaded

logger = logging.getLogger("mlserver")

#: Variables that have prometheus_client keep what it counts in files, which whoever has the same
#: folder shares, and which outlive the server.
_SHARED_METRICS = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")

#: What keeps a server from starting, and is for the user to mend.
_ERRORS = (PluginError, SettingsError, StartupError)


@click.command()
@click.argument("folder")
@click.option("--host", help="Address to bind; 0.0.0.0 opens the server to others.")
@click.option("--http-port", help="Port of REST; 0 takes a free one.")
@click.option("--grpc-port", help="Port of gRPC; 0 takes a free one.")
@click.option("--metrics-port", help="Port of the metrics; 0 takes a free one.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other setting, by its name in settings.json. May be repeated.",
)
@click.option("--strict", is_flag=True, help="Refuse unknown keys in settings.")
@click.pass_obj
def start(
    plugins: PluginManager,
    folder: str,
    host: str | None,
    http_port: str | None,
    grpc_port: str | None,
    metrics_port: str | None,
    assignments: tuple[str, ...],
    strict: bool,
) -> None:
    """Serve the models in FOLDER until SIGTERM or SIGINT; a second signal ends it at once.

    FOLDER may be a URI whose scheme a repository plugin reads; settings.json is then looked for
    in the current folder.
    """
    if not is_uri(folder) and not Path(folder).is_dir():
        raise click.BadParameter(f"Directory {folder!r} does not exist.", param_hint="FOLDER")
    given = {
        "host": host,
        "http_port": http_port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise click.BadParameter(f"expected NAME=VALUE, got {assignment!r}")
        overrides[name] = value
    try:
        loaded = load_settings(
            settings_folder(folder),
            os.environ,
            overrides=overrides,
            dotenv=Path(".env"),
            strict=strict,
        )
        loaded.value.model_repository_root = folder
        code = _serve(loaded, plugins, strict)
    except _ERRORS as error:
        code = _fail(error)
    main_loop.end(code)


def is_uri(folder: str) -> bool:
    """Does it name what only a repository plugin can read?"""
    return "://" in folder


def settings_folder(folder: str) -> Path:
    """Where the ``settings.json`` of a server is that serves a folder or URI."""
    return Path() if is_uri(folder) else Path(folder)


def _serve(loaded: Loaded[Settings], plugins: PluginManager, strict: bool) -> int:
    configure_logging(loaded.value)
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    for name in _SHARED_METRICS:
        if os.environ.pop(name, None) is not None:  # before the first metric is made
            logger.warning("%s is ignored: each server counts for itself", name)
    # As MLServer does, so that models may share code; behind all else, to shadow nothing.
    sys.path.extend([str(Path.cwd()), str(Path(loaded.value.model_repository_root).resolve())])

    main_loop.lift_descriptor_limit()
    main_loop.keep_freed_memory()

    async def serve() -> int:
        code = 0
        try:
            gc.disable()  # this imports the transports, and what is imported is no garbage
            try:
                server = MLServer(loaded.value, plugins=plugins, strict=strict)
            finally:
                gc.enable()
            server.stop_on_signals()
            await server.start()
        except _ERRORS as error:
            code = _fail(error)
        await main_loop.end_tasks(code)  # also what was left by models that had been loaded
        return code

    return main_loop.run(serve())


def _fail(error: Exception) -> int:
    """Says why the server does not start, and returns the exit code."""
    click.echo(f"Error: {error}", err=True)
    return 1
