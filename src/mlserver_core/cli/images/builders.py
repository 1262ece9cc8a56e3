"""The tools that build images, and how each is asked to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import attrs

#: Seconds that a daemon may take to say that it is there.
_PATIENCE = 20
#: In order of preference.
BUILDERS = ("docker", "podman", "buildah")


class NoBuilder(Exception):
    """There is nothing here that builds images; says what was looked for."""


@attrs.frozen(kw_only=True)
class Build:
    """What is to be built.

    Attributes:
        dockerfile: outside of the folder.
        ignore_file: of what stays out; None where the folder has rules of its own.
        tag: the name of the image.
        options: of the builder, in words that all of them know.
    """

    dockerfile: Path
    ignore_file: Path | None
    tag: str
    options: tuple[str, ...] = ()


def find_builder(name: str) -> str:
    """The builder of that name, or for ``auto`` the first that can be used.

    Raises:
        NoBuilder: there is none.
    """
    found = {each: _problem(each) for each in (BUILDERS if name == "auto" else (name,))}
    for each, problem in found.items():
        if not problem:
            return each
    text = "; ".join(f"{each}: {problem}" for each, problem in found.items())
    if name != "auto":
        raise NoBuilder(
            f"{name} cannot be used here ({found[name]}); without --builder, what can be is looked "
            f"for among {', '.join(BUILDERS)}"
        )
    raise NoBuilder(
        f"no tool that builds images can be used here ({text}). Install one of "
        f"{', '.join(BUILDERS)}, start Docker's daemon, or write a Dockerfile for another machine "
        "with `mlserver dockerfile`"
    )


def command_of(builder: str, build: Build, context: str) -> list[str]:
    """The words of the command.

    Args:
        builder: its name.
        build: what to build.
        context: the folder, or ``-`` for an archive on standard input.
    """
    command = [builder, "build", "-f", str(build.dockerfile), "-t", build.tag]
    if builder != "docker":
        command += ["--format", "docker"]  # images of the other format have no HEALTHCHECK
        if build.ignore_file is not None:
            command += ["--ignorefile", str(build.ignore_file)]
    return [*command, *build.options, context]


def _problem(builder: str) -> str:
    """Why a builder cannot be used; empty where it can."""
    if shutil.which(builder) is None:
        return "is not installed"
    if builder != "docker":
        return ""
    # The client alone builds nothing, and many machines have no more than that.
    asked = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(
            asked,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"its daemon did not answer within {_PATIENCE} seconds"
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    return "" if done.returncode == 0 else f"has no daemon to talk to ({_last_line(done.stderr)})"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
