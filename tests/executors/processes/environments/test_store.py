"""Archives are unpacked once and as a whole, whoever is killed and whoever else does the same."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from mlserver_core.executors.processes.environments.faults import Abandoned, UnusableEnvironment
from mlserver_core.executors.processes.environments.members import Limits
from mlserver_core.executors.processes.environments.store import Store

#: Takes an archive in a process of its own, and prints where its environment is.
TAKE = """
import os, sys, threading
from pathlib import Path
from mlserver_core.executors.processes.environments import members, store

if "slow" in sys.argv:
    write = members.Unpacking._write
    def slow(self, name, member):
        yield from write(self, name, member)
        print("wrote", name, flush=True)
        if name == sys.argv[-1]:
            sys.stdin.read()
    members.Unpacking._write = slow
if "as-another" in sys.argv:
    os.setuid(4711)
limits = members.Limits(bytes=2**30, entries=10_000)
kept = store.Store(Path(sys.argv[1]), limits)
print(kept.take(Path(sys.argv[2]), threading.Event())[1], flush=True)
"""


@pytest.fixture
def begin(store):
    """Begins to take an archive in another process."""
    processes = []

    def start(archive, *arguments, store=store):
        command = [sys.executable, "-c", TAKE, str(store.folder), str(archive), *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, text=True, **pipes)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def names_in(folder):
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def test_the_same_content_is_unpacked_once_whatever_the_file_is_called(
    store, take, toy, tmp_path, caplog
):
    caplog.set_level("INFO", logger="mlserver.parallel")
    first = take(toy(("data", b"1")))
    (tmp_path / "elsewhere").mkdir()
    same = shutil.copy(tmp_path / "environment.tar.gz", tmp_path / "elsewhere" / "other.tgz")
    (tmp_path / "link.tar.gz").symlink_to("elsewhere/other.tgz")
    assert take(Path(same)) == take(tmp_path / "link.tar.gz") == first
    assert Store(store.folder, store.limits).take(Path(same), threading.Event())[1] == first
    assert caplog.text.count("Unpacking") == 1


def test_another_content_under_the_same_name_is_another_environment(take, toy):
    first = take(toy(("data", b"1")))
    second = take(toy(("data", b"2")))
    assert first != second
    assert (first / "data").read_bytes() == b"1"
    assert (second / "data").read_bytes() == b"2"


@pytest.mark.parametrize("moment", ["bin/python", "a", "z"])
def test_what_a_process_has_left_that_was_killed_is_never_used_w31(store, take, toy, begin, moment):
    archive = toy(("a", b"1"), ("m", b"2"), ("z", b"3"))
    process = begin(archive, "slow", moment)
    while process.stdout.readline() != f"wrote {moment}\n":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    [place] = store.folder.iterdir()
    assert names_in(place / "env")
    assert not (place / "complete").exists()
    folder = take(archive)
    assert [(folder / name).read_bytes() for name in "amz"] == [b"1", b"2", b"3"]


def test_what_is_left_of_another_archive_is_cleared_by_the_next_one(store, take, toy, begin):
    process = begin(toy(("old", b"1"), name="old.tar.gz"), "slow", "old")
    while process.stdout.readline() != "wrote old\n":
        assert process.poll() is None
    [left] = store.folder.iterdir()
    first = take(toy(("new", b"1")))
    assert left.exists()  # somebody is at it
    process.kill()
    process.wait()
    second = take(toy(("newer", b"1")))
    assert not left.exists()
    assert first.exists()
    assert second.exists()


def test_what_has_become_whole_since_it_was_looked_at_is_not_cleared(store, take, toy):
    folder = take(toy())
    store._clear(folder.parent)
    assert (folder / "bin" / "python").exists()


def test_two_processes_that_need_one_archive_at_once_get_one_whole_environment(store, toy, begin):
    archive = toy(*((f"file{number}", bytes(1000)) for number in range(50)))
    slow = begin(archive, "slow", "file20")
    while slow.stdout.readline() != "wrote file20\n":
        assert slow.poll() is None
    others = [begin(archive) for _ in range(2)]
    slow.stdin.close()
    *_, first = slow.stdout.read().splitlines()
    assert [each.stdout.read().splitlines() for each in others] == [[first], [first]]
    assert len(names_in(Path(first))) == 51
    assert len(names_in(store.folder)) == 1


def test_many_threads_that_need_several_archives_at_once_all_get_theirs(store, toy):
    archives = [toy(("n", str(each).encode()), name=f"{each}.tar.gz") for each in range(3)]

    def take(number):
        own = Store(store.folder, store.limits)
        return own.take(archives[number % 3], threading.Event())[1]

    with ThreadPoolExecutor(12) as threads:
        folders = list(threads.map(take, range(24)))
    assert [(each / "n").read_text() for each in folders] == list("012") * 8


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"no archive", "no tar archive"),
        (b"\x1f\x8b\x08", "damaged or cut off"),
    ],
)
def test_of_an_archive_that_is_none_nothing_is_left_and_the_file_is_named(
    store, take, tmp_path, content, text
):
    archive = tmp_path / "environment.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(UnusableEnvironment, match=text) as caught:
        take(archive)
    assert str(archive) in str(caught.value)
    assert names_in(store.folder) == []


def test_of_one_that_is_refused_in_the_middle_nothing_is_left(store, take, toy):
    with pytest.raises(UnusableEnvironment, match="leads out"):
        take(toy(("data", b"1"), ("../escaped", b"x")))
    assert names_in(store.folder) == []
    with pytest.raises(UnusableEnvironment, match="environment_max_bytes"):
        take(toy(("data", bytes(2**21))))
    assert names_in(store.folder) == []


def test_of_one_that_no_worker_can_run_in_nothing_is_left(store, take, tar):
    with pytest.raises(UnusableEnvironment, match="no bin/python"):
        take(tar(("bin/other", b"")))
    assert names_in(store.folder) == []


def test_a_file_that_is_not_there_is_named(store, take, tmp_path):
    with pytest.raises(UnusableEnvironment, match=r"nowhere\.tar\.gz: No such file"):
        take(tmp_path / "nowhere.tar.gz")
    with pytest.raises(UnusableEnvironment, match="Is a directory"):
        take(tmp_path)
    assert names_in(store.folder) == []


def test_without_room_nothing_is_left_and_the_setting_is_named(store, toy, tmp_path):
    archive = toy(("data", os.urandom(200_000)))
    # A limit on the size of files stands for a disk that is full: the write fails in its middle.
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limit + TAKE, str(store.folder), str(archive)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "environments_dir: 'data': File too large, after 200" in done.stderr
    assert names_in(store.folder) == []


@pytest.mark.parametrize("what", ["file", "below"])
def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_the_setting(
    store, toy, tmp_path, what
):
    (tmp_path / "taken").write_text("")
    folder = tmp_path / "taken" if what == "file" else tmp_path / "taken" / "environments"
    unwritable = attrs.evolve(store, folder=folder)
    with pytest.raises(UnusableEnvironment, match="set environments_dir") as caught:
        unwritable.take(toy(), threading.Event())
    assert str(folder) in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_another_user_has_put_there_is_not_run(store, take, toy):
    archive = toy()
    place = take(archive).parent
    os.chown(place, 4711, 4711)
    again = Store(store.folder, store.limits)
    with pytest.raises(UnusableEnvironment, match=r"another user, with id 4711.*environments_dir"):
        again.take(archive, threading.Event())


@pytest.fixture
def reachable(store):
    """A store in a folder that every user gets to, and may write to."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place, "environments")
        folder.mkdir()
        folder.chmod(0o1777)
        yield attrs.evolve(store, folder=folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_root_has_unpacked_every_user_can_run(reachable, toy, begin):
    archive = shutil.move(toy(), reachable.folder.parent / "environment.tar.gz")
    folder = reachable.take(archive, threading.Event())[1]
    another = begin(archive, "as-another", store=reachable)
    assert another.stdout.read() == f"{folder}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_another_user_is_at_is_left_alone(reachable, toy, begin):
    archive = shutil.move(toy(), reachable.folder.parent / "environment.tar.gz")
    theirs = reachable.folder / ("0" * 64)
    theirs.mkdir(mode=0o700)
    another = begin(archive, "as-another", store=reachable)
    assert another.stdout.read().startswith(str(reachable.folder))
    assert theirs.exists()


def test_an_unpacked_environment_is_used_from_a_folder_that_nothing_can_be_written_to(
    store, take, toy
):
    archive = toy()
    place = take(archive).parent
    (place / "lock").unlink()
    (place / "lock").mkdir()  # whoever wants the lock fails, root too
    again = Store(store.folder, store.limits)
    assert again.take(archive, threading.Event())[1] == place / "env"


def test_an_environment_that_does_not_run_any_more_says_how_to_unpack_it_anew(store, take, toy):
    archive = toy()
    folder = take(archive)
    (folder / "bin" / "python").unlink()
    with pytest.raises(UnusableEnvironment, match=f"remove {folder.parent} to unpack it anew"):
        Store(store.folder, store.limits).take(archive, threading.Event())
    shutil.rmtree(folder.parent)
    assert take(archive) == folder


def test_an_archive_that_is_written_while_it_is_read_is_not_used(store, take, toy, begin):
    archive = toy(("a", b"1"), ("b", b"2"))
    process = begin(archive, "slow", "a")
    while process.stdout.readline() != "wrote a\n":
        assert process.poll() is None
    os.utime(archive, (1, 1))
    process.stdin.close()
    process.wait()
    assert names_in(store.folder) == []


def test_whoever_waits_no_longer_leaves_nothing_behind(store, toy):
    left = threading.Event()
    left.set()
    with pytest.raises(Abandoned):
        store.take(toy(), left)
    assert names_in(store.folder) == []


def test_whoever_waits_for_another_process_can_leave(store, take, toy):
    archive = toy()
    place = take(archive).parent
    (place / "complete").unlink()
    left = threading.Event()
    with (place / "lock").open() as lock, ThreadPoolExecutor(1) as thread:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = thread.submit(Store(store.folder, store.limits).take, archive, left)
        left.set()
        with pytest.raises(Abandoned):
            waiting.result(30)


def test_a_folder_that_goes_while_somebody_waits_for_its_lock_is_made_anew(store, take, toy):
    archive = toy()
    place = take(archive).parent
    (place / "complete").unlink()

    class Waiting(threading.Event):
        def wait(self, timeout=None):
            shutil.rmtree(place, ignore_errors=True)
            fcntl.flock(lock, fcntl.LOCK_UN)
            return super().wait(timeout)

    with (place / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        again = Store(store.folder, store.limits)
        assert again.take(archive, Waiting())[1] == place / "env"
    assert (place / "env" / "bin" / "python").exists()


def test_what_a_program_still_writes_to_is_left_alone_when_its_server_was_killed(
    store, toy, tmp_path, begin
):
    pid = tmp_path / "pid"
    hangs = f"#!/bin/sh\necho $$ > {pid}.new\nmv {pid}.new {pid}\nexec sleep 1000\n"
    process = begin(toy(("bin/python", hangs.encode()), ("bin/conda-unpack", b"")))
    while not pid.exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    try:
        [place] = store.folder.iterdir()
        with (place / "lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_the_limits_are_those_of_the_settings(tmp_path, toy):
    store = Store(tmp_path / "small", Limits(bytes=10, entries=100))
    with pytest.raises(UnusableEnvironment, match="environment_max_bytes"):
        store.take(toy(), threading.Event())
