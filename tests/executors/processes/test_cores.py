from __future__ import annotations

import os

import pytest

from mlserver_core.executors.processes import cores
from mlserver_core.executors.processes.cores import count_cores


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 cores, with files of control groups in place of its own."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)

    def count(own, **files):
        (tmp_path / "own").write_text(own)
        for path, text in files.items():
            file = tmp_path / "groups" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return count_cores(tmp_path / "own", tmp_path / "groups")

    return count


def test_without_a_limit_all_cores_that_it_may_run_on_count(machine):
    assert machine("0::/a\n", **{"a/cpu.max": "max 100000\n", "cpu.max": "max 100000\n"}) == 64


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("150000 100000", 2), ("100000 100000", 1), ("5000 100000", 1), ("9900000 100000", 64)],
)
def test_a_limit_on_time_counts_as_so_many_cores_rounded_up(machine, limit, cores):
    assert machine("0::/a\n", **{"a/cpu.max": f"{limit}\n"}) == cores


def test_the_limit_of_a_group_around_counts_too(machine):
    files = {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}
    assert machine("0::/a/b\n", **files) == 2


def test_a_container_that_sees_the_machines_path_has_its_limit_at_the_top(machine):
    assert machine("0::/kubepods/pod1/c1\n", **{"cpu.max": "300000 100000\n"}) == 3


def test_the_first_version_of_control_groups_is_known(machine):
    own = "4:memory:/m\n3:cpu,cpuacct:/c\n0::/\n"
    files = {
        "cpu,cpuacct/c/cpu.cfs_quota_us": "400000\n",
        "cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
    }
    assert machine(own, **files) == 4
    assert machine(own, **{**files, "cpu,cpuacct/c/cpu.cfs_quota_us": "-1\n"}) == 64


def test_a_group_may_have_any_name(machine, tmp_path):
    assert machine("0::/caf\u00e9\n", **{"caf\u00e9/cpu.max": "200000 100000\n"}) == 2
    (tmp_path / "own").write_bytes(b"0::/\xff\n")
    assert count_cores(tmp_path / "own", tmp_path / "none") == 64


def test_what_cannot_be_read_is_no_limit(machine, tmp_path):
    assert machine("", **{"cpu.max": ""}) == 64
    assert machine("0::/a\n", **{"a/cpu.max": "much\n"}) == 64
    assert count_cores(tmp_path / "none", tmp_path / "none") == 64


def test_this_machine_has_cores():
    assert cores.count_cores() >= 1
