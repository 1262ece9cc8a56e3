"""``mlserver init``."""

from __future__ import annotations

from pathlib import Path

import click

from mlserver_core.cli.new_plugin.files import KINDS
from mlserver_core.errors import PluginError
from mlserver_core.hooks.manager import PluginManager

_NEXT = """\
Made {folder}, with the {kind} {name!r} in it. It works as it is:

    cd {folder}
    pip install -e '.[test]'
    pytest
    mlserver start models

README.md has a request to ask it, and says what to change."""


def _refuse_template(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    del context, parameter  # click gives them to every callback
    if value is not None:
        raise click.UsageError(
            "MLServer fetches a template; here they come with the server: choose one "
            f"with --kind, {' or '.join(KINDS)}"
        )


@click.command("init")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=KINDS[0],
    show_default=True,
    help="What the plugin brings: a runtime, which serves models, or a codec, which is a content "
    "type.",
)
@click.option(
    "--template",
    "-t",
    hidden=True,  # MLServer's, which takes the address of a cookiecutter template
    expose_value=False,
    callback=_refuse_template,
)
@click.pass_obj
def init(plugins: PluginManager, name: str, kind: str) -> None:
    """Make a folder NAME with a plugin that installs, passes its own tests and serves.

    Of a new runtime only predict is to be written. Nothing is loaded from the network. The exit
    code is 0 when the folder is made, 1 when it cannot be written, and 2 when NAME cannot be used.
    """
    # Only here: all this is for none of the other commands.
    from mlserver_core.cli.new_plugin.collisions import check_free
    from mlserver_core.cli.new_plugin.files import fill
    from mlserver_core.cli.new_plugin.folder import write_folder
    from mlserver_core.cli.new_plugin.names import PluginNames

    try:
        names = PluginNames.derive(name)
        check_free(names, plugins)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    except PluginError as error:
        raise click.ClickException(str(error)) from None
    files = fill(kind, names)
    try:
        write_folder(Path(names.given), files)
    except FileExistsError:
        raise click.ClickException(
            f"{names.given} is there already and not empty: give another name, or remove it"
        ) from None
    except OSError as error:
        raise click.ClickException(
            f"{names.given} cannot be made here: {error.strerror}; nothing is left of it"
        ) from None
    click.echo(_NEXT.format(folder=names.given, kind=kind, name=names.name))
