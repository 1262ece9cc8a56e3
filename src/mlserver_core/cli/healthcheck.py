"""``mlserver healthcheck``."""

from __future__ import annotations

import http.client
import os
from contextlib import closing
from pathlib import Path

import click

from mlserver_core.cli.start import settings_folder
from mlserver_core.errors import SettingsError
from mlserver_core.settings.loading import load_settings

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # not bound


@click.command()
@click.argument("folder", envvar="MLSERVER_MODELS_DIR", default=".")
@click.option(
    "--timeout",
    default=5.0,
    type=click.FloatRange(min=0, min_open=True, max=3600),
    help="Seconds that the answer may take; 5.",
)
def healthcheck(folder: str, timeout: float) -> None:
    """Ask whether the server of FOLDER on this machine is ready; the exit code says so.

    FOLDER is by default what MLSERVER_MODELS_DIR names. The server's address is read from the
    same files and variables that `mlserver start` reads; its options are not known here.
    """
    try:
        settings = load_settings(settings_folder(folder), os.environ, dotenv=Path(".env")).value
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    host, port = _ANY_ADDRESS.get(settings.host, settings.host), settings.http_port
    if port == 0:
        raise click.ClickException(
            "http_port is 0, so the server took a free port, which only it knows; give it a port"
        )
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        with closing(http.client.HTTPConnection(host, port, timeout=timeout)) as connection:
            connection.request("GET", "/v2/health/ready")
            status = connection.getresponse().status
    # UnicodeError: what no name of a host can be encoded to
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise click.ClickException(f"no answer from {place}: {error}") from None
    if status != http.client.OK:
        raise click.ClickException(f"{place} is not ready: status {status}")
    click.echo("ready")
