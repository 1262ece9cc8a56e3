from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlserver_core.cli.dockerfile import dockerfile
from mlserver_core.cli.images.ignored import ignore_text
from mlserver_core.settings import Settings


@pytest.fixture
def run():
    """Runs ``mlserver dockerfile`` in this process."""

    def invoke(*arguments, **environ):
        clean = {name: None for name in os.environ if "MLSERVER" in name}
        return CliRunner().invoke(dockerfile, list(map(str, arguments)), env={**clean, **environ})

    return invoke


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models"
    (folder / "m").mkdir(parents=True)
    (folder / "m" / "model-settings.json").write_text("{}")
    return folder


def names(folder):
    """What is in it besides the model of the fixture."""
    return sorted(file.name for file in folder.iterdir() if file.name != "m")


def files(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_dockerfile_and_what_to_ignore_are_written(mlserver, folder, write):
    write("models/requirements.txt", "numpy")
    ended = mlserver("dockerfile", "models")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == ["Wrote models/Dockerfile", "Wrote models/.dockerignore"]
    text = (folder / "Dockerfile").read_text("utf-8")
    assert "COPY ./requirements.txt " in text
    assert f"ARG BASE_IMAGE=mlserver-core:{Settings().server_version}-slim\n" in text
    assert (folder / ".dockerignore").read_text("utf-8") == ignore_text()
    assert sorted(files(folder)) == [".dockerignore", "Dockerfile", "requirements.txt"]


@pytest.mark.parametrize("name", ["a b", "é 模型", "-x", "a;$(touch x)", "a'\"b", "a\nb"])
def test_any_name_of_a_folder_will_do(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    result = run("--", name)
    assert result.exit_code == 0
    assert sorted(files(tmp_path / name)) == [".dockerignore", "Dockerfile"]
    assert names(tmp_path) == [name]


def test_a_dockerfile_of_somebody_else_is_kept_byte_for_byte(run, folder):
    mine = b"FROM mine\r\n# \xff"
    (folder / "Dockerfile").write_bytes(mine)
    result = run(folder)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {folder}/Dockerfile is there already; --force overwrites it\n"
    assert files(folder) == {"Dockerfile": mine}


def test_a_dockerignore_of_somebody_else_is_kept_byte_for_byte(run, folder):
    (folder / ".dockerignore").write_bytes(b"*.md\r\n\xff")
    result = run(folder)
    assert result.exit_code == 0
    assert result.stdout == f"Wrote {folder}/Dockerfile\n"
    assert f"{folder}/.dockerignore is there already and stays as it is" in result.stderr
    assert (folder / ".dockerignore").read_bytes() == b"*.md\r\n\xff"


def test_force_overwrites_both(run, folder):
    assert run(folder).exit_code == 0
    expected = files(folder)
    for name in expected:
        (folder / name).write_text("other")
    assert run(folder, "--force").exit_code == 0
    assert files(folder) == expected


def test_what_the_command_wrote_itself_it_writes_again_when_nothing_has_changed(run, folder):
    assert run(folder).exit_code == 0
    again = run(folder)
    assert (again.exit_code, again.stderr) == (0, "")
    (folder / "requirements.txt").write_text("numpy")
    assert run(folder).exit_code == 1
    assert run(folder, "--force").exit_code == 0


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_a_link_to_a_file_to_come_is_somebody_elses_too(run, folder, name):
    (folder / name).symlink_to("later")
    assert run(folder).exit_code == (1 if name == "Dockerfile" else 0)
    assert (folder / name).readlink() == Path("later")
    assert not (folder / "later").exists()


def test_a_folder_in_the_place_of_the_dockerfile_is_an_error_even_by_force(run, folder):
    (folder / "Dockerfile").mkdir()
    assert "Dockerfile is there already" in run(folder).stderr
    forced = run(folder, "--force")
    assert forced.exit_code == 1
    assert forced.stderr == f"Error: {folder}/Dockerfile: cannot be written: Is a directory\n"
    assert names(folder) == ["Dockerfile"]


def test_a_folder_that_is_not_there_and_a_file_are_no_folders(run, folder, write):
    missing = run(folder / "none")
    assert (missing.exit_code, "does not exist" in missing.stderr) == (2, True)
    file = run(write("file"))
    assert (file.exit_code, "is a file" in file.stderr) == (2, True)


def test_the_base_image_comes_from_the_option_and_else_from_the_variable(run, folder):
    run(folder, MLSERVER_BASE_IMAGE="ours:2")
    assert b"ARG BASE_IMAGE=ours:2\n" in files(folder)["Dockerfile"]
    run(folder, "--force", "--base-image", "theirs:3", MLSERVER_BASE_IMAGE="ours:2")
    assert b"ARG BASE_IMAGE=theirs:3\n" in files(folder)["Dockerfile"]


@pytest.mark.parametrize("image", ["a b", "base\nRUN touch /x"])
def test_a_base_image_cannot_bring_instructions(run, folder, image):
    for result in (run(folder, "--base-image", image), run(folder, MLSERVER_BASE_IMAGE=image)):
        assert result.exit_code == 1
        assert result.stderr == f"Error: expected the name of an image, got {image!r}\n"
    assert names(folder) == []


def test_two_conda_environments_are_an_error_and_nothing_is_written(run, folder, write):
    write("models/conda.yaml")
    write("models/environment.yml")
    result = run(folder)
    assert result.exit_code == 1
    assert "environment.yml and conda.yaml both describe a conda environment" in result.stderr
    assert names(folder) == ["conda.yaml", "environment.yml"]


def test_notes_go_to_standard_error(run, folder, write):
    write("models/model-settings.json", {"implementation": "echo"})
    write("models/.env", "A=1")
    notes = run(folder).stderr.splitlines()
    assert [line.partition(" ")[0] for line in notes] == ["Note:", "Note:"]


def test_the_option_of_mlserver_is_accepted(run, folder):
    assert run(folder, "-i").exit_code == 0
    assert run(folder, "--include-dockerignore").exit_code == 0


@pytest.mark.parametrize("name", ["requirements.txt", "conda.yaml", "model-settings.json"])
def test_a_file_that_may_not_be_read_is_an_error_with_the_reason(
    mlserver_without_privileges, folder, write, name
):
    write(f"models/{name}").chmod(0)
    ended = mlserver_without_privileges("dockerfile", folder)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: {folder}/{name}: cannot be read: Permission denied\n"
    assert names(folder) == [name]


def test_a_folder_that_may_not_be_searched_is_an_error_with_the_reason(
    mlserver_without_privileges, folder
):
    folder.chmod(0o600)
    ended = mlserver_without_privileges("dockerfile", folder)
    folder.chmod(0o700)
    assert ended.returncode == 1
    assert "environment.yaml: cannot be read: Permission denied" in ended.stderr


def test_a_folder_that_may_not_be_written_is_an_error_with_the_reason(
    mlserver_without_privileges, folder
):
    folder.chmod(0o500)
    ended = mlserver_without_privileges("dockerfile", folder)
    folder.chmod(0o700)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: {folder}/Dockerfile: cannot be written: Permission denied\n"
    assert names(folder) == []


#: In a mount namespace of its own, which ends with the command.
READ_ONLY = 'mount -t tmpfs -o ro none "$1" && exec "$2" -m mlserver_core.cli.main dockerfile "$1"'


def test_a_file_system_that_is_read_only_is_an_error_with_the_reason(folder):
    apart = ("unshare", "--map-root-user", "--mount", "sh", "-c")
    try:
        subprocess.run([*apart, "mount -t tmpfs none /mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    command = [*apart, READ_ONLY, "sh", folder, sys.executable]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    reason = "cannot be written: Read-only file system"
    assert ended.stderr == f"Error: {folder}/Dockerfile: {reason}\n"


def test_a_dockerfile_that_may_not_be_read_is_kept(mlserver_without_privileges, folder, write):
    write("models/Dockerfile", "FROM mine").chmod(0)
    ended = mlserver_without_privileges("dockerfile", folder)
    assert ended.returncode == 1
    assert ended.stderr.endswith("is there already; --force overwrites it\n")


@pytest.mark.parametrize("had", [None, "FROM mine\n"])
def test_on_a_full_disk_nothing_is_half_written_and_nothing_lost(
    mlserver_without_privileges, folder, write, had
):
    if had is not None:
        write("models/Dockerfile", had)
    before = files(folder)
    ended = mlserver_without_privileges("dockerfile", folder, "--force", largest_file=500)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: {folder}/Dockerfile: cannot be written: File too large\n"
    assert files(folder) == before


def test_whoever_reads_meanwhile_sees_the_old_file_or_the_new_one(run, folder):
    run(folder)
    with (folder / "Dockerfile").open("rb") as old:
        before = old.read()
        run(folder, "--force", "--base-image", "other:1")
        old.seek(0)
        assert old.read() == before
    assert b"other:1" in files(folder)["Dockerfile"]


def test_two_at_once_leave_one_whole_file_of_each(mlserver, folder):
    with ThreadPoolExecutor(2) as pool:
        images = ["one:1", "two:2"]
        ended = list(
            pool.map(
                lambda image: mlserver("dockerfile", folder, "--force", "--base-image", image),
                images,
            )
        )
    assert [each.returncode for each in ended] == [0, 0]
    assert sorted(files(folder)) == [".dockerignore", "Dockerfile"]
    text = (folder / "Dockerfile").read_text("utf-8")
    assert text.count("ARG BASE_IMAGE") == 1
    assert text.endswith('"exec mlserver start \\"$MLSERVER_MODELS_DIR\\""]\n')


def test_the_command_is_listed_with_its_options(mlserver):
    text = mlserver("dockerfile", "--help").stdout
    assert "--base-image" in text
    assert "--force" in text
    assert "--include-dockerignore" not in text
    assert "\n  dockerfile " in mlserver("--help").stdout
