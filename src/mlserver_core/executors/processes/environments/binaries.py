"""Which system and processor a program was made for, by how it begins."""

from __future__ import annotations

import platform
import struct
import sys
from pathlib import Path

#: ``e_machine`` of ELF, by the name that ``platform.machine`` has for it on Linux.
_ELF = {
    3: "i686",
    8: "mips",
    20: "ppc",
    21: "ppc64le",
    22: "s390x",
    40: "armv7l",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
#: ``cputype`` of Mach-O, by the name that it has on macOS.
_MACH_O = {0x01000007: "x86_64", 0x0100000C: "arm64"}
_SYSTEMS = {"linux": "Linux", "darwin": "macOS"}


def platform_of(program: Path) -> str:
    """What a program was made for, such as ``macOS on arm64``; empty where it does not say."""
    try:
        with program.open("rb") as file:
            start = file.read(20)
    except OSError:
        return ""
    if start.startswith(b"\x7fELF") and len(start) == 20:
        order = ">" if start[5] == 2 else "<"
        (number,) = struct.unpack_from(f"{order}H", start, 18)
        return f"Linux on {_ELF.get(number, f'processor {number}')}"
    if start.startswith(b"\xcf\xfa\xed\xfe") and len(start) == 20:
        (number,) = struct.unpack_from("<I", start, 4)
        return f"macOS on {_MACH_O.get(number, f'processor {number}')}"
    if start.startswith((b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")):
        return "macOS"
    if start.startswith(b"MZ"):
        return "Windows"
    return ""


def this_platform() -> str:
    """The same of this machine."""
    return f"{_SYSTEMS.get(sys.platform, sys.platform)} on {platform.machine()}"
