"""Packages that were installed for another Python, or on another kind of machine."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from mlserver_core.executors.processes.environments.binaries import this_platform
from mlserver_core.executors.processes.environments.faults import UnusableEnvironment
from mlserver_core.executors.processes.environments.packages import find_misfit, versions_of

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
MACH_O = b"\xcf\xfa\xed\xfe" + struct.pack("<II", 0x0100000C, 0) + bytes(500)


@pytest.fixture
def venv(tar):
    """Writes an archive as venv-pack does, with mlserver-core as its packages have it."""

    def write(version, *more):
        site = f"lib/python{version}/site-packages"
        return tar(
            ("bin/python", {"type": b"2", "linkname": os.path.realpath(sys.executable)}),
            ("pyvenv.cfg", b"home = /opt/elsewhere\ninclude-system-site-packages = false\n"),
            (f"{site}/mlserver_core/__init__.py", b"import compiled\n"),
            *((f"{site}/{name}", data) for name, data in more),
        )

    return write


def test_compiled_packages_of_another_platform_say_of_which(take, venv):
    archive = venv(HERE, ("compiled.cpython-999-darwin.so", MACH_O), ("readme.so", b"text"))
    said = f"packages were made for macOS on arm64 and this is {this_platform()}; make"
    with pytest.raises(UnusableEnvironment, match=said):
        take(archive)


def test_a_package_with_modules_for_many_platforms_is_not_blamed(take, venv):
    here = Path(sys.executable).resolve().read_bytes()[:64]
    archive = venv(HERE, ("compiled/mac.so", MACH_O), ("compiled/here.so", here))
    with pytest.raises(UnusableEnvironment, match="mlserver-core in it cannot be imported"):
        take(archive)


def test_a_python_that_is_another_one_now_is_named_with_that_of_the_packages(take, tar):
    made = f'#!/bin/sh\nexec {sys.executable} -S "$@"\n'.encode()
    archive = tar(("bin/python", made), ("lib/python3.99/site-packages/mlserver_core.py", b""))
    said = rf"packages are for Python 3\.99, and its bin/python is Python {HERE}"
    with pytest.raises(UnusableEnvironment, match=said):
        take(archive)


def test_packages_that_fit_are_no_misfit(environment):
    assert versions_of(environment) == [HERE]
    assert find_misfit(environment, HERE) == ""
