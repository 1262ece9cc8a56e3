"""What an archive may hold, and what is refused of it."""

from __future__ import annotations

import os
import stat
import tarfile

import pytest

from mlserver_core.executors.processes.environments.faults import UnusableEnvironment
from mlserver_core.executors.processes.environments.members import Limits, Unpacking
from mlserver_core.executors.processes.environments.tarballs import Tarball


@pytest.fixture
def unpack(tmp_path):
    """Unpacks an archive into a folder two levels down, so that there is something to get at."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)

    def run(archive, **limits):
        limits = Limits(**{"bytes": 2**20, "entries": 100, **limits})
        with archive.open("rb") as file:
            unpacking = Unpacking(Tarball(file, archive.name), archive.name, folder, limits)
            for _ in unpacking.steps():
                pass
        return folder

    return run


def names_in(folder):
    return sorted(each.name for each in folder.iterdir())


def link(target, type=tarfile.SYMTYPE):
    return {"type": type, "linkname": str(target)}


def hard(target):
    return link(target, tarfile.LNKTYPE)


REFUSED = {
    "an absolute name": [("/escaped", b"x")],
    "an absolute folder": [("/escaped", {"type": tarfile.DIRTYPE})],
    "a name with dots": [("../escaped", b"x")],
    "dots in the middle": [("a/../../escaped", b"x")],
    "dots that stay inside": [("a/../escaped", b"x")],
    "dots behind a folder of that name": [("a/..", {"type": tarfile.DIRTYPE})],
    "an empty name": [("", b"x")],
    "the folder itself as a file": [("./", b"x")],
    "a relative link out": [("a", link("../escaped"))],
    "a deeper link out": [("a/b/c", link("../../../escaped"))],
    "a link that comes back": [("a", link("../inner/../../escaped"))],
    "a link to the folder above": [("a", link(".."))],
    "a link by way of another": [
        ("d/e/up", link("../..")),
        ("d/e/out", link("up/../escaped")),
    ],
    "a link by way of a later one": [
        ("d/e/out", link("up/../escaped")),
        ("d/e/up", link("../..")),
    ],
    "a file through a link": [("a", link("b")), ("b/x", b""), ("a/x", b"x")],
    "a file through a link out": [("a", link("..")), ("a/escaped", b"x")],
    "a file through an absolute link": [("a", link("/")), ("a/escaped", b"x")],
    "a folder through a link": [("a", link("..")), ("a/b", {"type": tarfile.DIRTYPE})],
    "a link in the place of a file": [("a", b"x"), ("a", link("b"))],
    "a file in the place of a link": [("a", link("b")), ("a", b"x")],
    "a link in the place of a folder": [("a/b", b"x"), ("a", link("c"))],
    "a file in the place of a folder": [("a/b", b"x"), ("a", b"x")],
    "a folder in the place of a file": [("a", b"x"), ("a/b", b"x")],
    "two links of one name": [("a", link("b")), ("a", link("c"))],
    "a link to nothing": [("a", link(""))],
    "a name of more folders than can be cleared": [("a/" * 1500, b"x")],
    "a link in more folders than can be cleared": [("a/" * 1500 + "b", link("c"))],
    "a hard link out": [("a", hard("../escaped"))],
    "an absolute hard link": [("a", hard("/etc/passwd"))],
    "a hard link to no file": [("a", hard("b"))],
    "a hard link to a link": [("a", link("b")), ("c", hard("a"))],
    "a hard link through a link": [("a", link("..")), ("c", hard("a/escaped"))],
    "a hard link of an absolute name": [("b", b"x"), ("a", hard("/b"))],
    "a named pipe": [("a", {"type": tarfile.FIFOTYPE})],
    "a character device": [("a", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})],
    "a block device": [("a", {"type": tarfile.BLKTYPE})],
    "something unknown": [("a", {"type": b"Q"})],
    "a name with NUL": [("a", {"pax_headers": {"path": "x\0y"}})],
}


@pytest.mark.parametrize("members", REFUSED.values(), ids=REFUSED)
def test_what_leads_out_or_is_no_file_is_refused_and_writes_nothing_outside_r6_w75(
    tar, unpack, tmp_path, members
):
    (tmp_path / "outer" / "escaped").write_text("as before")
    (tmp_path / "outer" / "escaped").chmod(0o400)
    archive = tar(*members, mode="w:gz")
    with pytest.raises(UnusableEnvironment, match=r"environment\.tar\.gz"):
        unpack(archive)
    assert names_in(tmp_path) == ["environment.tar.gz", "outer"]
    assert names_in(tmp_path / "outer") == ["escaped", "inner"]
    assert (tmp_path / "outer" / "escaped").read_text() == "as before"


@pytest.mark.parametrize("name", ["..", "../escaped", "a/../escaped", "a/.."])
def test_a_name_that_leads_out_says_so(tar, unpack, name):
    with pytest.raises(UnusableEnvironment, match=f"'{name}' leads out of the environment"):
        unpack(tar(("a/b", b""), (name, b"x")))


def test_files_folders_links_and_hard_links_come_out_as_they_went_in(tar, unpack):
    folder = unpack(
        tar(
            ("./", {"type": tarfile.DIRTYPE}),
            ("./lib/a.py", b"print()"),
            ("lib64", link("lib")),
            ("empty/", {"type": tarfile.DIRTYPE}),
            ("bin/tool", hard("lib/a.py")),
            ("bin/link", link("../lib/a.py")),
            ("dangling", link("lib/nowhere")),
            ("lib64", link("lib")),
        )
    )
    assert (folder / "lib" / "a.py").read_bytes() == b"print()"
    assert (folder / "lib64" / "a.py").read_bytes() == b"print()"
    assert names_in(folder / "empty") == []
    assert (folder / "bin" / "tool").samefile(folder / "lib" / "a.py")
    assert (folder / "bin" / "link").readlink().as_posix() == "../lib/a.py"
    assert (folder / "dangling").is_symlink()


def test_of_two_files_of_one_name_the_last_counts_as_venv_pack_needs_it(tar, unpack):
    folder = unpack(tar(("a", b"first"), ("b", hard("a")), ("a", b"second")))
    assert (folder / "a").read_bytes() == b"second"
    assert (folder / "b").read_bytes() == b"first"


def test_special_permissions_are_dropped_and_execution_and_time_are_kept(tar, unpack):
    folder = unpack(
        tar(
            ("tool", {"mode": 0o6777, "mtime": 1_500_000_000, "uid": 4711}),
            ("text", {"mode": 0o666, "mtime": 1_500_000_000}),
            ("odd", {"mode": 0, "mtime": 2**60}),
            ("never", {"pax_headers": {"mtime": "nan"}}),
            ("at the end of time", {"pax_headers": {"mtime": "inf"}}),
            ("folder", {"mode": 0o1777, "type": tarfile.DIRTYPE}),
        )
    )
    assert stat.S_IMODE((folder / "tool").stat().st_mode) == 0o755
    for name in ("tool", "text"):
        assert (folder / name).stat().st_mtime == 1_500_000_000
    assert stat.S_IMODE((folder / "text").stat().st_mode) == 0o644
    assert stat.S_IMODE((folder / "folder").stat().st_mode) & 0o7022 == 0
    assert (folder / "tool").stat().st_uid == os.geteuid()


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"bytes": 9}, "more than 9 bytes.*environment_max_bytes"),
        ({"entries": 1}, "more than 1 files.*environment_max_entries"),
    ],
)
def test_bytes_and_entries_are_bounded_and_the_settings_are_named(tar, unpack, limits, text):
    with pytest.raises(UnusableEnvironment, match=text):
        unpack(tar(("a", b"12345"), ("b", b"67890")), **limits)


def test_the_target_of_a_link_is_bounded_when_it_comes_and_not_when_links_are_made(tar, unpack):
    with pytest.raises(UnusableEnvironment, match="'a' is a link to what no file can be called"):
        unpack(tar(("a", link("b/" * 3000)), ("..", b"x")))


@pytest.mark.parametrize("what", [b"", link("a")])
def test_folders_count_that_are_only_parts_of_names(tar, unpack, what):
    with pytest.raises(UnusableEnvironment, match="more than 10 files"):
        unpack(tar(("a/b/c/d/e/f/g/h/i/j/k", what)), entries=10)


def test_what_is_just_within_the_limits_is_unpacked(tar, unpack):
    unpack(tar(("a", b"12345"), ("b", b"67890")), bytes=10, entries=2)


def test_a_name_that_the_file_system_does_not_take_is_an_error_that_names_it(tar, unpack):
    with pytest.raises(UnusableEnvironment, match=r"'nnn.*File name too long"):
        unpack(tar(("n" * 300, b"x")))
