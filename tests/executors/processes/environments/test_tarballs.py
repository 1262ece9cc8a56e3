"""What is no archive, or not all of one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.executors.processes.environments.faults import UnusableEnvironment
from mlserver_core.executors.processes.environments.members import Limits, Unpacking
from mlserver_core.executors.processes.environments.tarballs import Tarball


def read(data):
    """The members of an archive, with their data."""
    tarball = Tarball(io.BytesIO(data), "env.tar")
    return [
        (member.name, b"".join(tarball.pieces(member)) if member.isreg() else b"")
        for member in tarball.members()
    ]


def archive(*files, format=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


FILES = (("a" * 120, b"1" * 512), ("b/c", b""), ("d\xfc", b"2" * 5000))
PLAIN = archive(*FILES)


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["tar", "gz", "bz2", "xz"]
)
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_usual_form_of_an_archive_is_read(compress, format):
    files = FILES if format != tarfile.USTAR_FORMAT else FILES[1:]
    assert read(compress(archive(*files, format=format))) == list(files)


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"\x28\xb5\x2f\xfd", "zstandard"),
        (b"hsqs", "squashfs"),
        (b"hello", "no tar archive"),
        (gzip.compress(b"hello", mtime=0), "no tar archive"),
        (b"<html>" + bytes(600), "no tar archive"),
    ],
)
def test_what_is_no_tar_archive_is_named_and_what_to_pack_instead(start, text):
    with pytest.raises(UnusableEnvironment, match=text) as caught:
        read(start)
    assert ".tar.gz" in str(caught.value)


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["tar", "gz", "bz2", "xz"]
)
def test_an_archive_that_is_cut_off_anywhere_is_never_taken_for_whole(compress):
    whole = compress(PLAIN)
    # Of a plain archive what follows the first block of its end is filling.
    length = len(PLAIN.rstrip(b"\0")) + 512 if compress is bytes else len(whole)
    for end in range(1, length, max(1, length // 60)):
        with pytest.raises(UnusableEnvironment):
            read(whole[:end])


def test_a_file_that_ends_with_its_member_is_cut_off():
    member = archive(("a", b"x" * 512))[:1024]
    with pytest.raises(UnusableEnvironment, match="cut off"):
        read(member)


def test_damage_in_a_header_between_members_is_noticed():
    data = bytearray(archive(("a", b"x" * 512), ("b", b"y" * 512)))
    data[1024 + 20] ^= 0xFF
    with pytest.raises(UnusableEnvironment, match="damaged"):
        read(bytes(data))


def test_a_wrong_checksum_behind_the_end_is_noticed():
    data = bytearray(gzip.compress(PLAIN))
    data[-6] ^= 0xFF
    with pytest.raises(UnusableEnvironment, match="damaged"):
        read(bytes(data))


def test_a_header_that_unpacks_to_gigabytes_is_refused_before_they_are_there():
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 2**32
    bomb = gzip.compress(info.tobuf() + bytes(64 * 2**20), 1)
    tracemalloc.start()
    try:
        with pytest.raises(UnusableEnvironment, match="larger than"):
            read(bomb)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_headers_for_all_members_are_not_kept_for_them():
    member = archive(("a", b""))[:512]
    headers = (
        tarfile.TarInfo.create_pax_global_header({f"comment{each}": "x" * 2**19})
        for each in range(64)
    )
    data = gzip.compress(b"".join(each + member for each in headers) + bytes(1024), 1)
    tracemalloc.start()
    try:
        assert len(read(data)) == 64
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_size_below_zero_is_refused():
    info = tarfile.TarInfo("a")
    info.size = -1024
    with pytest.raises(UnusableEnvironment):
        read(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(PLAIN)),
)
def test_whatever_is_wrong_with_an_archive_it_unpacks_inside_or_is_refused(changes, end):
    data = bytearray(PLAIN)
    for place, value in changes:
        data[place] = value
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "outer", "inner")
        folder.mkdir(parents=True)
        try:
            tarball = Tarball(io.BytesIO(bytes(data[:end])), "env.tar")
            limits = Limits(bytes=2**20, entries=100)
            for _ in Unpacking(tarball, "env.tar", folder, limits).steps():
                pass
        except UnusableEnvironment:
            pass
        assert list(folder.parent.iterdir()) == [folder]
