"""How many cores this process may use, in a container too."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

#: Where Linux tells of the control groups of this process, and where those are.
_OWN_GROUPS, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def count_cores(own_groups: Path = _OWN_GROUPS, groups: Path = _GROUPS) -> int:
    """The cores that this process may run on, or less where its time on them is limited.

    A container that may use one and a half cores of a machine with sixty-four gives 2. A limit
    that cannot be read is none.

    Args:
        own_groups: names the control groups of this process; see cgroups(7).
        groups: where those are mounted.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min([cores, *(max(1, math.ceil(limit)) for limit in _limits(own_groups, groups))])


def _limits(own_groups: Path, groups: Path) -> Iterator[float]:
    """The cores that each group allows, of this process and those around it."""
    for line in _read(own_groups).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounted = groups / controllers if controllers else groups
        folder = mounted / path.lstrip("/")
        # In a container the path may be the machine's, and only the mounted folder its own.
        for each in [folder, *folder.parents]:
            if each.is_relative_to(mounted):
                yield from _limit(each)


def _limit(folder: Path) -> Iterator[float]:
    """What one group allows, in the words of either version of control groups."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not period:
        quota = _read(folder / "cpu.cfs_quota_us").strip()
        period = _read(folder / "cpu.cfs_period_us").strip()
    if quota.isdecimal() and period.isdecimal() and int(period):
        yield int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return os.fsdecode(file.read_bytes())  # names of groups may be any bytes
    except OSError:
        return ""
