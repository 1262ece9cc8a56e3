"""``mlserver check-batching``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from mlserver_core.cli.batch_checking.check import Check
    from mlserver_core.cli.inference.options import Options

#: Rows with differences that are named.
_NAMED = 10
_FILE = click.Path(exists=True, dir_okay=False)


@click.command("check-batching")
@click.argument("model")
@click.option("--url", "-u", default="", help="HOST:PORT; by default localhost and the usual port.")
@click.option("--model-version", default="", help="Which version; by default the server's choice.")
@click.option(
    "--input",
    "-i",
    "input_path",
    type=_FILE,
    help="File with one inference request as JSON per line; by default rows are made up from the "
    "model's metadata.",
)
@click.option("--poison", "poison_path", type=_FILE, help="File with requests that should fail.")
@click.option(
    "--tolerance",
    default=1e-6,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How far floats may be apart, relative to the largest of their output.",
)
@click.option(
    "--metrics-url",
    default="",
    help="HOST:PORT or a URL, with /metrics or without; by default port 8082 of the same host.",
)
@click.option("--request-headers", "-H", multiple=True, help="'NAME: VALUE', sent with every call.")
@click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds a call may take.",
)
@click.option("--insecure", is_flag=True, help="Do not verify the server's certificate.")
def check_batching(
    input_path: str | None,
    poison_path: str | None,
    tolerance: float,
    metrics_url: str,
    model: str,
    **connection: object,
) -> None:
    """Prove that MODEL answers batched requests as it answers each of them alone.

    Asks a running server the same rows alone, together, shuffled and among bad ones. The exit
    code is 0 when all answers are equal and requests were merged; 1 when some differ, or the model
    cannot be asked; 2 when an option cannot be used; 3 when all are equal, but nothing is known to
    have been merged, so that nothing is proven.
    """
    # Only here: all this is for few of the other commands.
    from mlserver_core.cli.inference.options import Options
    from mlserver_core.errors import InvalidRequest

    options = Options(model_name=model, binary_data=True, workers=64, **connection)  # type: ignore[arg-type]
    try:
        metrics_url = _metrics_url(options.infer_url(), metrics_url)
        options.headers()
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from None
    try:
        check = asyncio.run(_check(options, (input_path, poison_path), tolerance, metrics_url))
    except InvalidRequest as error:
        raise click.ClickException(" ".join(str(error).split())) from None
    click.echo(_describe(check))
    sys.exit(_exit_code(check))


async def _check(
    options: Options,
    paths: tuple[str | None, str | None],
    tolerance: float,
    metrics_url: str,
) -> Check:
    from mlserver_core.cli.batch_checking.check import Check
    from mlserver_core.cli.batch_checking.rows import make_rows, read_rows, spoil
    from mlserver_core.cli.batch_checking.server import CheckedModel
    from mlserver_core.cli.inference.rest_client import open_rest_client

    good, bad = paths
    client = open_rest_client(options)
    try:
        model = CheckedModel(client, options.model_name, metrics_url)
        rows = read_rows(good) if good else make_rows(await model.declared_inputs())
        poison = [*spoil(rows[0]), *(read_rows(bad, "poison, line") if bad else ())]
        check = Check(model, tolerance)
        await check.run(rows, poison)
        return check
    finally:
        await client.close()


def _metrics_url(infer_url: str, given: str) -> str:
    """Where the metrics are: as given, with what is left out, or on the usual port."""
    from mlserver_core.errors import InvalidRequest

    if not given:
        parts = urlsplit(infer_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}:8082/metrics"
    url = given if "://" in given else f"http://{given}"
    try:
        parts = urlsplit(url)
        is_url = bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise InvalidRequest(f"expected HOST:PORT or a URL as --metrics-url, got {given!r}")
    return url if parts.path.strip("/") else parts._replace(path="/metrics").geturl()


def _exit_code(check: Check) -> int:
    if not check.is_equal:
        return 1
    return 0 if check.merges.are_proven else 3


def _describe(check: Check) -> str:
    lines = [f"{'rows':<24}{'calls':>7}{'different':>11}"]
    lines += [
        f"{stage.name:<24}{stage.calls:>7}{len(stage.differences):>11}" for stage in check.stages
    ]
    lines.append(check.merges.text)
    differences = [(stage, each) for stage in check.stages for each in stage.differences]
    lines += [f"{stage.name}: {each.row}: {each.text}" for stage, each in differences[:_NAMED]]
    if len(differences) > _NAMED:
        lines.append(f"and {len(differences) - _NAMED} more")
    if check.stages[0].differences:
        lines.append(
            "The model's answers to one row differ from call to call, whether batched or not."
        )
    return "\n".join(lines)
