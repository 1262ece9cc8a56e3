"""``mlserver build``."""

from __future__ import annotations

import os
import re
import tempfile
from functools import partial
from pathlib import Path

import click

from mlserver_core.cli.dockerfile import DOCKERFILE as OWN_DOCKERFILE
from mlserver_core.cli.dockerfile import default_base_image, describe_image
from mlserver_core.cli.images.archive import DOCKERFILE, FOLDER, write_archive
from mlserver_core.cli.images.builders import (
    BUILDERS,
    Build,
    NoBuilder,
    command_of,
    find_builder,
)
from mlserver_core.cli.images.dockerfile import PIP_ARGUMENTS
from mlserver_core.cli.images.ignored import has_own_rules, ignore_text
from mlserver_core.cli.images.running import run_builder

#: What stands between // and @ in a URL: a name and a password, or a token alone.
_CREDENTIALS = re.compile(r"://[^/\s]*@")
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("-t", "--tag", required=True, help="The name of the image, such as my-models:1.0.")
@click.option(
    "--builder",
    type=click.Choice(["auto", *BUILDERS]),
    default="auto",
    envvar="MLSERVER_BUILDER",
    help="What builds it; by default the first of these that can be used.",
)
@click.option(
    "--base-image",
    envvar="MLSERVER_BASE_IMAGE",
    help="The image to build on; by default mlserver-core's own, of this version.",
)
@click.option(
    "--build-arg",
    "build_arguments",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="An argument of the build. May be repeated.",
)
@click.option("--network", help="The network that the steps of the build have.")
@click.option("--no-cache", is_flag=True, help="Do every step again.")
@click.option("--platform", help="The platform to build for, such as linux/arm64.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS]")
def build(
    folder: Path,
    tag: str,
    builder: str,
    base_image: str | None,
    build_arguments: tuple[str, ...],
    network: str | None,
    no_cache: bool,
    platform: str | None,
    more: tuple[str, ...],
) -> None:
    """Build an image with the models and custom runtimes in FOLDER.

    Docker, Podman or Buildah does it; what stands after -- is handed to it as it is. Settings of
    pip that say where packages are come from the environment: PIP_INDEX_URL and its like.
    """
    if not tag:
        raise click.BadParameter("the image needs a name", param_hint="--tag")
    if more and not more[0].startswith("-"):
        raise click.UsageError(f"one folder makes an image, and {more[0]!r} is one too many")
    try:
        found = find_builder(builder)
    except NoBuilder as error:
        raise click.ClickException(str(error)) from None
    # Docker takes a .dockerignore from nowhere but the folder, which is not ours to write to.
    streamed = found == "docker" and not has_own_rules(folder, found)
    text, notes = describe_image(folder, base_image, FOLDER if streamed else ".")
    for note in (*notes, *_dockerfile_notes(folder)):
        click.echo(f"Note: {note}", err=True)
    # Variables are handed on by name: their values are nobody's business who lists processes.
    arguments = [*build_arguments, *_pip_settings(text, build_arguments)]
    options = [word for each in arguments for word in ("--build-arg", each)]
    options += ["--network", network] if network else []
    options += ["--no-cache"] if no_cache else []
    options += ["--platform", platform] if platform else []
    try:
        with tempfile.TemporaryDirectory(prefix="mlserver-build-") as temporary:
            run = _run_streamed if streamed else _run
            code = run(found, folder.resolve(), Path(temporary), text, tag, (*options, *more))
    except OSError as error:
        raise click.ClickException(
            f"no image was built: {error.filename or folder}: {error.strerror or error}"
        ) from None
    if code != 0:
        raise click.ClickException(_describe_failure(found, code, base_image))
    click.echo(f"Built {tag} with {found}")


def _dockerfile_notes(folder: Path) -> list[str]:
    file = folder / OWN_DOCKERFILE
    return [f"{file} plays no part: this builds with one of its own"] if file.exists() else []


def _describe_failure(builder: str, code: int, base_image: str | None) -> str:
    text = f"{builder} build failed with " + (
        f"exit code {code}" if code > 0 else f"signal {-code}"
    )
    if base_image:
        return text
    return f"{text}. It builds on {default_base_image()}, which mlserver-core's Dockerfile makes"


def _run(
    builder: str, folder: Path, temporary: Path, text: str, tag: str, options: tuple[str, ...]
) -> int:
    """Has the image built, with the builder's output shown as it comes; returns its exit code."""
    file, ignore = temporary / "Dockerfile", temporary / "ignore"
    file.write_text(text, encoding="utf-8")
    ignore.write_text(ignore_text(), encoding="utf-8")
    build = Build(
        dockerfile=file,
        ignore_file=None if has_own_rules(folder, builder) else ignore,
        tag=tag,
        options=options,
    )
    return run_builder(command_of(builder, build, str(folder)))


def _run_streamed(
    builder: str, folder: Path, temporary: Path, text: str, tag: str, options: tuple[str, ...]
) -> int:
    """The same, with the folder in an archive, which has no more than the image needs."""
    file = temporary / "Dockerfile"
    file.write_text(text, encoding="utf-8")
    build = Build(dockerfile=Path(DOCKERFILE), ignore_file=None, tag=tag, options=options)
    return run_builder(command_of(builder, build, "-"), partial(write_archive, folder, file))


def _pip_settings(text: str, build_arguments: tuple[str, ...]) -> list[str]:
    """Those of the environment that a Dockerfile takes, and the image's history may show."""
    given = {each.partition("=")[0] for each in build_arguments}
    passed = []
    for name in PIP_ARGUMENTS:
        value = os.environ.get(name)
        if not value or name in given or f"ARG {name}\n" not in text:
            continue
        if _CREDENTIALS.search(value):
            raise click.ClickException(
                f"{name} holds a password, which everybody could read in the image's history; "
                f"use an index without one, or say --build-arg {name} if you accept that"
            )
        passed.append(name)
    return passed
