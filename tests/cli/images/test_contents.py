"""What is read of a folder before its Dockerfile is written."""

from __future__ import annotations

import itertools
import os
import socket

import pytest

from mlserver_core.cli.images.contents import Contents, UnusableFolder, read_contents

CONDA = ["environment.yaml", "environment.yml", "conda.yaml", "conda.yml"]


def test_an_empty_folder_asks_for_nothing(tmp_path):
    assert read_contents(tmp_path) == Contents()


@pytest.mark.parametrize("name", CONDA)
def test_a_conda_environment_is_found_by_any_of_its_names(write, tmp_path, name):
    write(name, "dependencies: [python=3.11]")
    assert read_contents(tmp_path) == Contents(conda=name)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(CONDA, 2)))
def test_two_conda_environments_are_refused_by_their_names(write, tmp_path, one, other):
    write(one)
    write(other)
    with pytest.raises(UnusableFolder, match=f"{one} and {other} both describe"):
        read_contents(tmp_path)


def test_folders_with_the_names_of_files_are_none(tmp_path):
    for name in [*CONDA, "requirements.txt", "model-settings.json", ".env"]:
        (tmp_path / name).mkdir()
    assert read_contents(tmp_path) == Contents()


def test_a_socket_with_the_name_of_a_file_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    os.mkfifo("conda.yml")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("requirements.txt")
        assert read_contents(tmp_path) == Contents()


LOCAL = [
    "-r other.txt",
    "-rother.txt",
    "--requirement other.txt",
    "--requirement=other.txt",
    "  -c limits.txt",
    "--constraint limits.txt",
    "-e .",
    "-e.",
    "--editable ./package",
    "-f wheels",
    "--find-links=wheels",
    "--extra-index-url https://host/simple --find-links wheels",
    ".",
    ".[extra]",
    "..",
    "./x.whl",
    "../x.whl",
    "wheels/package",
    "wheels/",
    r".\wheels\x.whl",
    "x-1.0-py3-none-any.whl",
    "x.whl[extra]",
    "x.whl --hash=sha256:0123",
    'x.whl ; python_version > "3"',
    "x.whl  # ours",
    "x.tar.gz",
    "x.zip",
    "pkg @ file:///opt/x.whl",
    "pkg @ file:x.whl",
    "file:x.whl",
    "\ufeff-r other.txt",
    "numpy\n-r other.txt\n",
    "numpy\r\n-r other.txt\r\n",
    "-r \\\nother.txt",
    "-r \\\r\nother.txt\r\n",
    "pkg @ \\\n  file:x.whl",
    "# not the end \\\n-r other.txt",
]


@pytest.mark.parametrize("text", LOCAL)
def test_requirements_that_name_files_of_the_folder_are_local(tmp_path, text):
    (tmp_path / "requirements.txt").write_bytes(text.encode())
    contents = read_contents(tmp_path)
    assert (contents.requirements, contents.local_requirements) == ("requirements.txt", True)


NOT_LOCAL = [
    "",
    "\ufeff",
    "numpy",
    "numpy==2.0.*\n",
    "numpy>=2,<3\r\nscikit-learn~=1.5.0\r\n",
    "numpy  # see x.whl",
    "# -r other.txt",
    "  # -e .",
    "#file:x.whl",
    "numpy \\\n    --hash=sha256:0123 \\\n    --hash=sha256:4567",
    'numpy ; sys_platform == "linux"',
    "-i https://host/simple",
    "--index-url=https://host/simple",
    "-r https://host/other.txt",
    "--requirement=https://host/other.txt",
    "-c \\\n  https://host/limits.txt",
    "-f https://host/wheels/",
    "--find-links https://host/x.whl",
    "https://host/x-1.0-py3-none-any.whl",
    "pkg @ https://host/x.tar.gz#sha256=0123",
    "-e git+https://host/x.git#egg=x",
    "git+ssh://git@host/x.git@main",
    "--pre\n--no-binary :all:\n--only-binary=numpy",
]


@pytest.mark.parametrize("text", NOT_LOCAL)
def test_requirements_from_elsewhere_are_not_local(tmp_path, text):
    (tmp_path / "requirements.txt").write_bytes(text.encode())
    contents = read_contents(tmp_path)
    assert (contents.requirements, contents.local_requirements) == ("requirements.txt", False)


@pytest.mark.parametrize(
    "line", ["-r requirements.txt", "'-r requirements.txt'", "-e .", "./x.whl", '"./x.whl"']
)
def test_a_conda_environment_is_local_when_pip_installs_files_for_it(write, tmp_path, line):
    write("conda.yaml", f"dependencies:\n- python=3.11\n- pip:\n  - numpy\n  - {line}\n")
    assert read_contents(tmp_path).local_conda


@pytest.mark.parametrize(
    "text",
    [
        "[python=3.11, pip, {pip: [-r other.txt]}]",
        "[{pip: [numpy,-r other.txt]}]",
        '[python=3.11, {"pip": ["numpy", "-e ."]}]',
        "\n- 'pip' :\n  - -e .\n",
    ],
)
def test_in_any_spelling_of_yaml(write, tmp_path, text):
    write("conda.yaml", f"dependencies: {text}\n")
    assert read_contents(tmp_path).local_conda


def test_channels_and_the_prefix_of_an_exported_environment_are_no_files(write, tmp_path):
    text = """\
        name: mine
        channels:
          - nvidia/label/cuda-12.0
          - file:///channel
        dependencies:
          - python=3.11
          - pip:
              - numpy==2.0.0
              - git+https://host/x.git
        prefix: /home/me/envs/mine
    """
    write("environment.yml", text)
    assert read_contents(tmp_path) == Contents(conda="environment.yml")


@pytest.mark.parametrize("name", ["requirements.txt", "conda.yaml"])
def test_a_file_that_is_no_text_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes("näher".encode("latin-1"))
    with pytest.raises(UnusableFolder, match=f"{name}: is no text in UTF-8"):
        read_contents(tmp_path)


#: Some of what a builder, or the server in the image, looks for by its name.
NAMED = ["requirements.txt", "environment.yaml", "model-settings.json", "settings.json"]
NAMED += [".dockerignore", ".containerignore"]


@pytest.mark.parametrize("name", NAMED)
def test_a_link_out_of_the_folder_is_refused_as_builders_do_not_see_there(write, tmp_path, name):
    write("outside", "{}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).symlink_to("../outside")
    with pytest.raises(UnusableFolder, match=rf"{name}: leads out of the folder"):
        read_contents(tmp_path / "folder")


@pytest.mark.parametrize("name", NAMED)
def test_a_link_to_an_absolute_path_is_refused_as_builders_begin_at_the_folder(
    write, tmp_path, name
):
    (tmp_path / name).symlink_to(write("inside", "{}"))
    with pytest.raises(UnusableFolder, match=rf"{name}: is a link to an absolute path"):
        read_contents(tmp_path)


def test_a_link_within_the_folder_is_as_good_as_its_file(write, tmp_path):
    write("folder/all.txt", "-e .")
    (tmp_path / "folder" / "requirements.txt").symlink_to("all.txt")
    (tmp_path / "linked").symlink_to("folder")
    assert read_contents(tmp_path / "linked").local_requirements


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "conda.yml").symlink_to("conda.yml")
    with pytest.raises(UnusableFolder, match=r"conda\.yml: cannot be read: "):
        read_contents(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not valid JSON"),
        ("[]", "expected an object"),
        ("[" * 100_000, "is not valid JSON"),
    ],
)
def test_model_settings_that_the_server_would_refuse_are_refused(write, tmp_path, text, problem):
    write("model-settings.json", text)
    with pytest.raises(UnusableFolder, match=f"model-settings.json: {problem}"):
        read_contents(tmp_path)
