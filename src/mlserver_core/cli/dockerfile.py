"""``mlserver dockerfile``."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from mlserver_core.cli.images.contents import UnusableFolder, read_contents
from mlserver_core.cli.images.dockerfile import make_dockerfile
from mlserver_core.cli.images.ignored import IGNORE_FILE, ignore_text
from mlserver_core.cli.images.notes import find_notes
from mlserver_core.settings import Settings

DOCKERFILE = "Dockerfile"
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def default_base_image() -> str:
    """The image of this version of the server, without runtimes."""
    return f"mlserver-core:{Settings().server_version}-slim"


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option(
    "--base-image",
    envvar="MLSERVER_BASE_IMAGE",
    help="The image to build on; by default mlserver-core's own, of this version.",
)
@click.option("--force", is_flag=True, help="Overwrite a Dockerfile and a .dockerignore.")
@click.option("-i", "--include-dockerignore", is_flag=True, hidden=True)  # MLServer's; always done
def dockerfile(
    folder: Path,
    base_image: str | None,
    force: bool,
    include_dockerignore: bool,  # noqa: ARG001  # does nothing
) -> None:
    """Write a Dockerfile for the models and custom runtimes in FOLDER.

    Docker, Podman, Buildah and Kaniko build it. A .dockerignore is written too, unless there is
    one.
    """
    text, notes = describe_image(folder, base_image)
    file = folder / DOCKERFILE
    ignore = folder / IGNORE_FILE
    if os.path.lexists(file) and not force and not _holds(file, text):
        raise click.ClickException(f"{file} is there already; --force overwrites it")
    _write(file, text)
    if force or not os.path.lexists(ignore):
        _write(ignore, ignore_text())
    elif not _holds(ignore, ignore_text()):
        notes = (*notes, f"{ignore} is there already and stays as it is")
    for note in notes:
        click.echo(f"Note: {note}", err=True)


def describe_image(
    folder: Path, base_image: str | None, source: str = "."
) -> tuple[str, tuple[str, ...]]:
    """The text of the Dockerfile, and what the folder's author should know.

    Args:
        folder: what the image is to serve.
        base_image: the image to build on; None for the default one.
        source: where the folder is in the context of the build.

    Raises:
        click.ClickException: no image can be made of the folder.
    """
    try:
        contents = read_contents(folder)
        text = make_dockerfile(
            contents,
            base_image=base_image or default_base_image(),
            version=Settings().server_version,
            source=source,
        )
    except UnusableFolder as error:
        raise click.ClickException(str(error)) from None
    return text, tuple(find_notes(folder))


def _holds(file: Path, text: str) -> bool:
    try:
        return file.read_bytes() == text.encode()
    except OSError:
        return False


def _write(file: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink()
        raise click.ClickException(f"{file}: cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {file}")
