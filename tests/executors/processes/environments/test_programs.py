from __future__ import annotations

import os
import struct
import threading

import pytest

from mlserver_core.executors.processes.environments.binaries import this_platform
from mlserver_core.executors.processes.environments.faults import Abandoned, UnusableEnvironment
from mlserver_core.executors.processes.environments.programs import run_python


@pytest.fixture
def python(tmp_path):
    """Writes the Python of an environment."""

    def write(content, mode=0o755):
        (tmp_path / "bin").mkdir()
        file = tmp_path / "bin" / "python"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)
        return tmp_path

    return write


NEVER = threading.Event()
#: A program of macOS on arm64, and one of Linux on a processor of the past.
MACH_O = b"\xcf\xfa\xed\xfe" + struct.pack("<II", 0x0100000C, 0) + bytes(500)
MIPS = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 8) + bytes(500)


@pytest.mark.parametrize(
    ("content", "made_for"), [(MACH_O, "macOS on arm64"), (MIPS, "Linux on mips")]
)
def test_a_python_of_another_platform_says_of_which(python, content, made_for):
    folder = python(content)
    with pytest.raises(UnusableEnvironment) as caught:
        run_python(folder, ["-c", ""], seconds=30, abandoned=NEVER)
    assert f"made for {made_for} and this is {this_platform()}; make" in str(caught.value)


def test_a_link_to_an_interpreter_that_is_not_here_is_named(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/opt/nowhere/python3.11")
    with pytest.raises(
        UnusableEnvironment, match=r"link to '/opt/nowhere/python3.11', which is not"
    ):
        run_python(tmp_path, [], seconds=30, abandoned=NEVER)


def test_what_cannot_be_executed_says_so(python):
    folder = python("#!/bin/sh\n", mode=0o644)
    with pytest.raises(UnusableEnvironment, match="Permission denied; it has to be executable"):
        run_python(folder, [], seconds=30, abandoned=NEVER)


def test_a_program_whose_loader_is_missing_says_so(python):
    with pytest.raises(UnusableEnvironment, match="another C library"):
        run_python(python("#!/nowhere/loader\n"), [], seconds=30, abandoned=NEVER)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (["python.exe"], "made for Windows"),
        (["Scripts/python.exe"], "made for Windows"),
        (["environment/bin/python"], "at the top of it, and is in 'environment' instead"),
        (["lib/x"], "no bin/python, which belongs at the top of it$"),
    ],
)
def test_a_folder_without_a_python_says_what_it_has_instead(write, tmp_path, files, text):
    for each in files:
        write(each)
    with pytest.raises(UnusableEnvironment, match=text):
        run_python(tmp_path, [], seconds=30, abandoned=NEVER)


def test_one_that_never_answers_is_ended(python):
    folder = python("#!/bin/sh\nexec sleep 1000\n")
    with pytest.raises(UnusableEnvironment, match=r"no answer in 0.1 seconds"):
        run_python(folder, [], seconds=0.1, abandoned=NEVER)


@pytest.mark.parametrize("script", ["exec sleep 1000", "sleep 1000 & wait", "sleep 1000"])
def test_one_that_nobody_waits_for_any_more_is_ended_with_what_it_has_started(python, script):
    folder = python(f"#!/bin/sh\n{script}\n")
    left = threading.Event()
    left.set()
    ours, theirs = os.pipe()
    try:
        with pytest.raises(Abandoned):
            run_python(folder, [], seconds=1000, abandoned=left, descriptors=(theirs,))
        os.close(theirs)
        assert os.read(ours, 1) == b""  # nobody has the other end any more
    finally:
        os.close(ours)


def test_the_end_of_what_it_says_before_it_fails_is_given(python):
    folder = python("#!/bin/sh\necho no such module >&2\nexit 3\n")
    with pytest.raises(UnusableEnvironment, match="ended with code 3: no such module"):
        run_python(folder, [], seconds=30, abandoned=NEVER)
    (folder / "bin" / "python").write_text("#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(UnusableEnvironment, match="killed by signal 9: it said nothing"):
        run_python(folder, [], seconds=30, abandoned=NEVER)
