from __future__ import annotations

import pytest

from mlserver_core.cli.new_plugin.folder import write_folder


def test_the_folder_has_the_files_and_nothing_else_is_made(tmp_path):
    (tmp_path / "other").mkdir()
    write_folder(tmp_path / "made", {"a/b.txt": "é\n", "c": ""})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["made", "other"]
    assert (tmp_path / "made/a/b.txt").read_bytes() == "é\n".encode()
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_an_empty_folder_may_be_there(tmp_path):
    (tmp_path / "made").mkdir()
    write_folder(tmp_path / "made", {"a": "1"})
    assert (tmp_path / "made/a").read_text() == "1"


@pytest.mark.parametrize("there", ["a folder", "a file", "a link", "a link to nothing"])
def test_what_is_there_stays_as_it_is(tmp_path, there):
    made, other = tmp_path / "made", tmp_path / "other"
    other.mkdir()
    if there == "a folder":
        made.mkdir()
        (made / "mine").touch()
    elif there == "a file":
        made.touch()
    else:
        made.symlink_to(other if there == "a link" else "nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match="made is there already"):
        write_folder(made, {"a": "1"})
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_left_of_what_fails(tmp_path):
    with pytest.raises(OSError):
        write_folder(tmp_path / "made", {"a": "1", "a/b": "a is a file"})
    assert list(tmp_path.iterdir()) == []
