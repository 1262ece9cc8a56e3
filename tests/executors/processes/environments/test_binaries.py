from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from mlserver_core.executors.processes.environments.binaries import platform_of, this_platform


def elf(machine, order="<"):
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + bytes(10)
    return ident + struct.pack(f"{order}HH", 2, machine) + bytes(40)


def mach_o(cpu):
    return b"\xcf\xfa\xed\xfe" + struct.pack("<I", cpu) + bytes(24)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (elf(62), "Linux on x86_64"),
        (elf(183), "Linux on aarch64"),
        (elf(22, ">"), "Linux on s390x"),
        (elf(4711), "Linux on processor 4711"),
        (mach_o(0x0100000C), "macOS on arm64"),
        (mach_o(0x01000007), "macOS on x86_64"),
        (b"\xca\xfe\xba\xbe" + bytes(16), "macOS"),
        (b"MZ" + bytes(30), "Windows"),
        (b"#!/bin/sh\n", ""),
        (b"\x7fELF", ""),
        (b"", ""),
    ],
)
def test_a_program_says_what_it_was_made_for(tmp_path, start, name):
    (tmp_path / "python").write_bytes(start)
    assert platform_of(tmp_path / "python") == name


def test_this_python_was_made_for_this_machine():
    assert platform_of(Path(sys.executable)) == this_platform()


def test_a_program_that_is_not_there_was_made_for_nothing(tmp_path):
    assert platform_of(tmp_path / "nowhere") == ""
