from __future__ import annotations

import io
import os
import socket
import tarfile

import pytest

from mlserver_core.cli.images.archive import DOCKERFILE, FOLDER, write_archive


@pytest.fixture
def archive(tmp_path):
    """Reads back what is made of ``folder``; names are those in it."""

    def make():
        (tmp_path / "Dockerfile").write_text("FROM ours")
        out = io.BytesIO()
        write_archive(tmp_path / "folder", tmp_path / "Dockerfile", out)
        out.seek(0)
        return tarfile.open(fileobj=out)

    return make


def test_files_arrive_byte_for_byte_with_their_modes(write, archive):
    write("folder/model-settings.json", "{}")
    program = write("folder/a b/é 模型;$(touch x)\n.bin", "text")
    program.chmod(0o755)
    big = write("folder/big")
    big.write_bytes(os.urandom(1_000_000))
    with archive() as read:
        assert [each.name for each in read if each.isfile()] == [
            DOCKERFILE,
            f"{FOLDER}/a b/é 模型;$(touch x)\n.bin",
            f"{FOLDER}/big",
            f"{FOLDER}/model-settings.json",
        ]
        assert read.extractfile(f"{FOLDER}/big").read() == big.read_bytes()
        assert read.getmember(f"{FOLDER}/a b/é 模型;$(touch x)\n.bin").mode == 0o755


def test_what_no_image_needs_stays_out_at_any_depth(write, archive):
    for name in (".env", "a/.env", ".git/config", "a/__pycache__/x.pyc", "Dockerfile", "a/x.so"):
        write(f"folder/{name}")
    with archive() as read:
        assert read.getnames()[2:] == [f"{FOLDER}/a", f"{FOLDER}/a/x.so"]


def test_the_dockerfile_comes_first_and_lies_beside_the_folder(write, archive):
    write("folder/Dockerfile", "FROM theirs")
    write("folder/é")
    with archive() as read:
        assert read.getnames() == [DOCKERFILE, FOLDER, f"{FOLDER}/é"]
        assert read.extractfile(DOCKERFILE).read() == b"FROM ours"
        # Docker tells an archive from a Dockerfile by its first block, which has to be a file's.
        assert read.fileobj.getvalue()[156:157] == tarfile.REGTYPE


def test_links_stay_links(write, archive, tmp_path):
    write("folder/model/weights", "data")
    os.link(tmp_path / "folder/model/weights", tmp_path / "folder/model/same")
    links = {"current": "model", "model/w": "weights", "gone": "nowhere", "out": "/etc/hostname"}
    for name, target in links.items():
        (tmp_path / "folder" / name).symlink_to(target)
    with archive() as read:
        found = {each.name: each.linkname for each in read if each.issym()}
        assert found == {f"{FOLDER}/{name}": target for name, target in links.items()}
        same = [read.extractfile(f"{FOLDER}/model/{name}") for name in ("same", "weights")]
        assert [each.read() for each in same] == [b"data", b"data"]


def test_a_second_name_of_a_file_that_stays_out_is_a_file(write, archive, tmp_path):
    write("folder/.env", "A=1")
    os.link(tmp_path / "folder/.env", tmp_path / "folder/example.env")
    with archive() as read:
        assert read.extractfile(f"{FOLDER}/example.env").read() == b"A=1"


def test_sockets_are_passed_over_and_fifos_not_waited_for(write, archive, tmp_path, monkeypatch):
    write("folder/model")
    os.mkfifo(tmp_path / "folder" / "fifo")
    monkeypatch.chdir(tmp_path / "folder")  # the path of a socket may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with archive() as read:
            assert [each.name for each in read if not each.isfifo()][2:] == [f"{FOLDER}/model"]


class Pipe(io.RawIOBase):
    """Calls something before it takes the first bytes."""

    def __init__(self, call):
        self.call = call

    def writable(self):
        return True

    def write(self, data):
        self.call()
        return len(data)


def test_a_file_that_vanishes_meanwhile_is_named(write, tmp_path):
    dockerfile = write("Dockerfile")
    write("folder/a").write_bytes(bytes(100_000))
    last = write("folder/b")
    with pytest.raises(FileNotFoundError) as raised:
        write_archive(tmp_path / "folder", dockerfile, Pipe(lambda: last.unlink(missing_ok=True)))
    assert str(raised.value.filename) == str(last)


def test_a_file_that_shrinks_meanwhile_is_named(write, tmp_path):
    dockerfile = write("Dockerfile")
    file = write("folder/a")
    file.write_bytes(bytes(1_000_000))
    with pytest.raises(OSError, match="has changed") as raised:
        write_archive(tmp_path / "folder", dockerfile, Pipe(lambda: os.truncate(file, 0)))
    assert str(raised.value.filename) == str(file)
