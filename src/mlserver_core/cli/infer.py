"""``mlserver infer``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

_Command = Callable[..., Any]


class _Header(click.types.StringParamType):
    """``NAME: VALUE``; in the environment one per line, since values may have spaces."""

    envvar_list_splitter = "\n"


_POSITIVE = click.IntRange(min=1)
_SECONDS = click.FloatRange(min=0)


def _option(*names: str, variable: str = "", **more: Any) -> Callable[[_Command], _Command]:
    """An option that the environment can give too, under MLServer's name for it."""
    long = next(name for name in names if name.startswith("--"))
    variable = variable or long[2:].replace("-", "_").upper()
    return click.option(*names, envvar=f"MLSERVER_INFER_{variable}", show_envvar=True, **more)


@click.command()
@_option("--url", "-u", default="", help="HOST:PORT; by default localhost and the usual port.")
@_option("--model-name", "-m", required=True, help="The model to ask.")
@_option("--model-version", default="", help="Which of its versions; by default the server's.")
@_option(
    "--input-data-path",
    "-i",
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="File with one inference request as JSON per line; - is standard input.",
)
@_option(
    "--output-data-path",
    "-o",
    required=True,
    type=click.Path(dir_okay=False, allow_dash=True),
    help="File for one answer as JSON per line; - is standard output.",
)
@_option("--workers", "-w", default=10, type=_POSITIVE, help="Calls under way at once.")
@_option("--retries", "-r", default=3, type=click.IntRange(min=0), help="Further tries of a call.")
@_option("--batch-size", "-s", default=1, type=_POSITIVE, help="Lines merged into a call at most.")
@_option("--binary-data", "-b", is_flag=True, help="Send tensors as bytes instead of text.")
@_option("--verbose", "-v", is_flag=True, help="Say what is done, instead of a progress bar.")
@_option("--extra-verbose", "-vv", is_flag=True, help="Say it of every call.")
@_option("--transport", "-t", default="rest", type=click.Choice(["rest", "grpc"]), help="How.")
@_option(
    "--request-headers",
    "-H",
    multiple=True,
    type=_Header(),
    help="'NAME: VALUE', sent with every call. May be repeated.",
)
@_option(
    "--timeout",
    default=60,
    type=click.FloatRange(min=0, min_open=True),
    variable="CONNECTION_TIMEOUT",
    help="Seconds a call may take.",
)
@_option("--batch-interval", default=0, type=_SECONDS, help="Seconds a worker waits after a call.")
@_option("--batch-jitter", default=0, type=_SECONDS, help="Seconds added to that, at random.")
@_option("--use-ssl", is_flag=True, help="Speak TLS.")
@_option("--insecure", is_flag=True, help="Do not verify the server's certificate.")
@_option("--unordered", is_flag=True, help="Write answers as they come, not in order.")
def infer(
    input_data_path: str,
    output_data_path: str,
    verbose: bool,
    extra_verbose: bool,
    **options: Any,
) -> None:
    """Send a file of inference requests to a server and write down the answers.

    The exit code is 0 when every line was answered, and 1 when some were not.
    """
    # Only here: all this is for none of the other commands.
    from mlserver_core.cli.inference.options import Options
    from mlserver_core.cli.inference.run import Run
    from mlserver_core.errors import InvalidRequest

    run = Run(
        options=Options(**options),
        source=input_data_path,
        target=output_data_path,
        verbosity=2 if extra_verbose else int(verbose),
    )
    try:
        sys.exit(run.go())
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from None
