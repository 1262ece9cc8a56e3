"""What the packages of an environment were installed for."""

from __future__ import annotations

import re
from pathlib import Path

from mlserver_core.executors.processes.environments.binaries import platform_of, this_platform

_LIBRARY = re.compile(r"python(\d\.\d+)t?")


def versions_of(folder: Path) -> list[str]:
    """The Pythons that packages are there for, such as ``3.11``."""
    matches = (_LIBRARY.fullmatch(each.name) for each in sorted(folder.glob("lib/python*")))
    return [match[1] for match in matches if match]


def find_misfit(folder: Path, python: str) -> str:
    """Why packages that are there cannot be imported; empty where that has other reasons.

    Args:
        folder: of the environment.
        python: the version that its ``bin/python`` says it is.
    """
    versions = versions_of(folder)
    if versions and python not in versions:
        made = " and ".join(versions)
        return (
            f"its packages are for Python {made}, and its bin/python is Python {python} on this "
            f"machine: install Python {made} where that was, or make the environment here"
        )
    compiled = sorted(folder.glob("lib/python*/site-packages/**/*.so"))
    # Some packages bring modules for every platform.
    platforms = {platform_of(each) for each in compiled} - {""}
    if platforms and this_platform() not in platforms:
        made = " and ".join(sorted(platforms))
        return (
            f"its packages were made for {made} and this is {this_platform()}; make the "
            "environment here"
        )
    return ""
