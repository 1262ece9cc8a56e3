"""Memory without a name that one process fills and another one maps.

It is gone when the last process that has its descriptor, or a mapping of it, is gone, by whatever
death.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Buffers of one system call; POSIX promises no more than 16, Linux and macOS take 1024.
_MOST_BUFFERS = 1024
#: Without a descriptor of its own, a mapping takes none from the limit of the process.
_MAP_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


def write_shared(buffers: Sequence[Any]) -> int:
    """Copies buffers, one after the other, into new memory and returns its descriptor.

    Raises:
        OSError: there is no memory or no descriptor to be had.
    """
    descriptor = _create()
    try:
        _write_all(descriptor, [memoryview(each) for each in buffers])
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def map_shared(descriptor: int, size: int) -> memoryview:
    """The memory as a writable buffer, and closes the descriptor.

    Where it cannot be mapped it is copied, so that a limit of this process costs time only. The
    mapping goes when nothing uses the buffer any more.

    Raises:
        OSError: it is not as large as it should be, or it cannot be read.
    """
    try:
        found = os.fstat(descriptor).st_size
        if found != size:
            raise OSError(f"expected {size} bytes of shared memory, got {found}")
        try:
            return memoryview(mmap.mmap(descriptor, size, **_MAP_OPTIONS))
        except OSError:
            return memoryview(read_shared(descriptor, size))
    finally:
        os.close(descriptor)


def read_shared(descriptor: int, size: int) -> bytearray:
    """A copy of the memory; leaves the descriptor open.

    Raises:
        OSError: it cannot be read.
    """
    data = bytearray(size)
    view, done = memoryview(data), 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    while done < size:
        count = os.readv(descriptor, [view[done:]])
        if not count:
            raise OSError(f"shared memory ends after {done} of {size} bytes")
        done += count
    return data


def _create() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mlserver", os.MFD_CLOEXEC)
    descriptor, path = tempfile.mkstemp(prefix="mlserver-")
    Path(path).unlink()
    return descriptor


def _write_all(descriptor: int, views: list[memoryview]) -> None:
    first = 0
    while first < len(views):
        count = os.writev(descriptor, views[first : first + _MOST_BUFFERS])
        while first < len(views) and count >= len(views[first]):
            count -= len(views[first])
            first += 1
        if count:
            views[first] = views[first][count:]
