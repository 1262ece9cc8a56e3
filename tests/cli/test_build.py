from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile

import attrs
import pytest
from click.testing import CliRunner

from mlserver_core.cli.build import build
from mlserver_core.cli.images.builders import BUILDERS
from mlserver_core.cli.images.dockerfile import PIP_ARGUMENTS
from mlserver_core.cli.images.ignored import ignore_text

LONG = 60
DEAD = "sys.exit('Cannot connect to the Docker daemon')"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models"
    (folder / "m").mkdir(parents=True)
    (folder / "m" / "model-settings.json").write_text("{}")
    return folder


@pytest.fixture
def run(tools):
    """Runs ``mlserver build`` in this process, with the doubles alone on PATH."""
    ours = {name: None for name in os.environ if name.startswith(("MLSERVER", "PIP_"))}

    def invoke(*arguments, **environ):
        environ = {**ours, "PATH": str(tools.path), **environ}
        return CliRunner().invoke(build, list(map(str, arguments)), env=environ)

    return invoke


@attrs.define
class Building:
    """A running ``mlserver build``."""

    process: subprocess.Popen

    def ended(self):
        """The exit code, and what is left of both outputs."""
        out, err = self.process.communicate(timeout=LONG)
        return self.process.returncode, out, err


@pytest.fixture
def start(tools, tmp_path):
    """Starts ``mlserver build`` as a process."""
    started = []
    (tmp_path / "tmp").mkdir()

    def run(*arguments):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLSERVER", "PIP_"))}
        process = subprocess.Popen(
            [sys.executable, "-m", "mlserver_core.cli.main", "build", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean, "PATH": str(tools.path), "TMPDIR": str(tmp_path / "tmp")},
        )
        started.append(process)
        return Building(process)

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=LONG)


def names(folder):
    """What is in it besides the model of the fixture."""
    return sorted(file.name for file in folder.iterdir() if file.name != "m")


def only_text(tools, ending):
    """What the builder found in the file that its words name, whatever its name ends with."""
    (call,) = tools.calls
    (text,) = [text for name, text in call["read"].items() if name.endswith(ending)]
    return text


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_podman_and_buildah_get_the_folder_and_files_beside_it(run, tools, folder, write, name):
    write("models/requirements.txt", "numpy")
    tools.add(name)
    result = run(folder, "-t", "mine:1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"Built mine:1 with {name}\n"
    words = tools.words
    assert words[:2] == [name, "build"]
    assert words[words.index("-t") + 1] == "mine:1"
    assert words[-1] == str(folder)
    assert "COPY ./requirements.txt " in only_text(tools, "/Dockerfile")
    assert only_text(tools, "/ignore") == ignore_text()
    assert names(folder) == ["requirements.txt"]


def test_docker_gets_an_archive_since_without_buildkit_it_takes_no_ignore_file(
    run, tools, folder, write
):
    write("models/model/weights.so", "data")
    write("models/.env", "PASSWORD=1")
    write("models/Dockerfile", "FROM theirs")
    tools.add("docker")
    result = run(folder, "-t", "mine:1")
    assert (result.exit_code, result.stdout) == (0, "Built mine:1 with docker\n")
    assert tools.words == ["docker", "build", "-f", "Dockerfile", "-t", "mine:1", "-"]
    with tarfile.open(tools.input) as archive:
        models = ["folder/m", "folder/m/model-settings.json"]
        models += ["folder/model", "folder/model/weights.so"]
        assert archive.getnames() == ["Dockerfile", "folder", *models]
        assert b"COPY folder/ /opt/mlserver/models/\n" in archive.extractfile("Dockerfile").read()


@pytest.mark.parametrize("name", BUILDERS)
def test_a_folder_with_a_dockerignore_of_its_own_is_read_by_that(run, tools, folder, write, name):
    write("models/.dockerignore", "*.md")
    tools.add(name)
    assert run(folder, "-t", "x").exit_code == 0
    assert tools.words[-1] == str(folder)
    assert "--ignorefile" not in tools.words
    assert "FROM ${BASE_IMAGE}" in only_text(tools, "/Dockerfile")


@pytest.mark.parametrize("name", BUILDERS)
def test_a_containerignore_is_for_the_builders_that_know_it(run, tools, folder, write, name):
    write("models/.containerignore", "secret")
    tools.add(name)
    assert run(folder, "-t", "x").exit_code == 0
    assert "--ignorefile" not in tools.words
    assert tools.words[-1] == ("-" if name == "docker" else str(folder))


@pytest.mark.parametrize("name", ["docker", "podman"])
@pytest.mark.parametrize(
    "text", ["a b", "é 模型", "-x", "x;$(touch x)", "a'\"b", "a\nb", "`x`", "*"]
)
def test_no_name_of_a_folder_or_an_image_is_read_by_a_shell(
    run, tools, tmp_path, monkeypatch, name, text
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / text).mkdir()
    tools.add(name)
    assert run("-t", text, "--network", text, "--", text).exit_code == 0
    words = tools.words
    assert words[words.index("-t") + 1] == text
    assert words[words.index("--network") + 1] == text
    assert words[-1] == ("-" if name == "docker" else str(tmp_path / text))
    assert names(tmp_path) == sorted([text, "tools"])


def test_an_image_needs_a_name(run, tools, folder):
    tools.add("podman")
    missing = run(folder)
    assert (missing.exit_code, "Missing option '-t' / '--tag'" in missing.stderr) == (2, True)
    empty = run(folder, "-t", "")
    assert (empty.exit_code, "the image needs a name" in empty.stderr) == (2, True)
    assert tools.calls == []


def test_a_second_folder_is_refused_rather_than_handed_to_the_builder(run, tools, folder):
    tools.add("podman")
    result = run(folder, "other", "-t", "x")
    assert (result.exit_code, "'other' is one too many" in result.stderr) == (2, True)
    assert tools.calls == []


def test_options_become_those_of_the_builder(run, tools, folder):
    tools.add("podman")
    result = run(
        *(folder, "-t", "x", "--build-arg", "A=1 2", "--build-arg", "B", "--network", "host"),
        *("--no-cache", "--platform", "linux/arm64", "--", "--pull=never", "-v", "/a b:/c"),
    )
    assert result.exit_code == 0
    words = tools.words
    assert words[words.index("--build-arg") :] == [
        *("--build-arg", "A=1 2", "--build-arg", "B", "--network", "host", "--no-cache"),
        *("--platform", "linux/arm64", "--pull=never", "-v", "/a b:/c", str(folder)),
    ]


def test_none_are_given_that_nobody_asked_for(run, tools, folder):
    tools.add("buildah")
    run(folder, "-t", "x")
    (file, ignore) = [word for word in tools.words if "/mlserver-build-" in word]
    assert tools.words == [
        *("buildah", "build", "-f", file, "-t", "x", "--format", "docker"),
        *("--ignorefile", ignore, str(folder)),
    ]


def test_the_base_image_comes_from_the_option_and_else_from_the_variable(run, tools, folder):
    tools.add("podman")
    run(folder, "-t", "x", MLSERVER_BASE_IMAGE="ours:2")
    assert "ARG BASE_IMAGE=ours:2\n" in only_text(tools, "/Dockerfile")
    run(folder, "-t", "x", "--base-image", "theirs:3", MLSERVER_BASE_IMAGE="ours:2")
    assert any("BASE_IMAGE=theirs:3\n" in each for each in tools.calls[1]["read"].values())


def test_a_base_image_cannot_bring_instructions(run, tools, folder):
    tools.add("podman")
    result = run(folder, "-t", "x", "--base-image", "base\nRUN touch /x")
    assert (result.exit_code, "expected the name of an image" in result.stderr) == (1, True)
    assert tools.calls == []


def test_the_builder_comes_from_the_option_and_else_from_the_variable(run, tools, folder):
    for name in BUILDERS:
        tools.add(name)
    run(folder, "-t", "x", MLSERVER_BUILDER="podman")
    run(folder, "-t", "x", "--builder", "buildah", MLSERVER_BUILDER="podman")
    run(folder, "-t", "x")
    assert [each["words"][0] for each in tools.calls] == ["podman", "buildah", "docker"]
    wrong = run(folder, "-t", "x", MLSERVER_BUILDER="kaniko")
    assert (wrong.exit_code, "'kaniko' is not one of" in wrong.stderr) == (2, True)


def test_docker_without_a_daemon_gives_way_to_podman_unless_it_was_asked_for(run, tools, folder):
    tools.add("docker", version=DEAD)
    tools.add("podman")
    assert run(folder, "-t", "x").stdout == "Built x with podman\n"
    asked = run(folder, "-t", "x", "--builder", "docker")
    assert asked.exit_code == 1
    assert "docker cannot be used here (has no daemon to talk to (Cannot" in asked.stderr
    assert len(tools.calls) == 1


def test_without_a_builder_the_error_says_what_to_do(run, folder):
    result = run(folder, "-t", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no tool that builds images can be used here" in result.stderr
    assert "mlserver dockerfile" in result.stderr


def test_settings_of_pip_are_handed_on_by_name_alone(run, tools, folder, write):
    write("models/requirements.txt", "numpy")
    tools.add("podman")
    value = "https://host/simple"
    assert run(folder, "-t", "x", **dict.fromkeys(PIP_ARGUMENTS, value)).exit_code == 0
    passed = [word for name in PIP_ARGUMENTS for word in ("--build-arg", name)]
    assert " ".join(passed) in " ".join(tools.words)
    assert value not in json.dumps(tools.calls)


def test_settings_of_pip_that_are_empty_or_of_no_use_are_not(run, tools, folder, write):
    tools.add("podman")
    run(folder, "-t", "x", PIP_INDEX_URL="https://me:secret@host")  # nothing is installed
    write("models/requirements.txt", "numpy")
    run(folder, "-t", "x", PIP_INDEX_URL="", PIP_TIMEOUT="3")
    assert len(tools.calls) == 2
    assert "--build-arg" not in json.dumps(tools.calls)


@pytest.mark.parametrize(
    "value",
    ["https://me:secret@host/simple", "https://token@host/", "https://a/ https://:secret@[b/"],
)
def test_a_password_is_not_handed_on_unless_that_is_asked_for(run, tools, folder, write, value):
    write("models/conda.yaml")
    tools.add("podman")
    result = run(folder, "-t", "x", PIP_EXTRA_INDEX_URL=value)
    assert (result.exit_code, tools.calls) == (1, [])
    assert "PIP_EXTRA_INDEX_URL holds a password" in result.stderr
    assert "secret" not in result.stderr
    for argument in ("PIP_EXTRA_INDEX_URL", f"PIP_EXTRA_INDEX_URL={value}"):
        run(folder, "-t", "x", "--build-arg", argument, PIP_EXTRA_INDEX_URL=value)
        words = tools.calls[-1]["words"]
        assert words.count("--build-arg") == 1
        assert words[words.index("--build-arg") + 1] == argument


def test_an_at_sign_that_is_no_password_is_fine(run, tools, folder, write):
    write("models/requirements.txt", "numpy")
    tools.add("podman")
    assert run(folder, "-t", "x", PIP_FIND_LINKS="https://host/a@b /c@d").exit_code == 0


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("sys.exit(125)", "exit code 125"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
    ],
)
@pytest.mark.parametrize("name", BUILDERS)
def test_how_a_builder_failed_is_told(run, tools, folder, name, code, how):
    tools.add(name, build=f"keep_input()\n{code}")
    result = run(folder, "-t", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {name} build failed with {how}. It builds on ")
    named = run(folder, "-t", "x", "--base-image", "mine")
    assert named.stderr == f"Error: {name} build failed with {how}\n"


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize("code", [0, 3])
def test_docker_may_end_before_it_has_read_the_folder(run, tools, folder, write, code, size):
    write("models/big").write_bytes(bytes(size))
    tools.add("docker", build=f"sys.exit({code})")
    result = run(folder, "-t", "x")
    if code:
        assert result.stderr.startswith(f"Error: docker build failed with exit code {code}")
    else:
        assert result.stdout == "Built x with docker\n"


def test_a_builder_that_cannot_be_started_is_an_error(run, tools, folder):
    tools.add_file("podman", "\0")
    result = run(folder, "-t", "x")
    assert result.exit_code == 1
    assert result.stderr == "Error: no image was built: podman: Exec format error\n"


def test_of_a_folder_that_cannot_be_read_whole_no_image_is_built(
    mlserver_without_privileges, tools, folder, write, tmp_path
):
    write("models/a").write_bytes(bytes(1_000_000))
    write("models/b").chmod(0)
    write("models/c")
    # It sees the end of its input at the earliest when it should be gone.
    tools.add("docker", build="keep_input(); open(os.environ['DONE'], 'w')")
    done = tmp_path / "done"
    ended = mlserver_without_privileges(
        *("build", folder, "-t", "x"), PATH=str(tools.path), DONE=str(done)
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"Error: no image was built: {folder}/b: Permission denied\n"
    assert not done.exists()


def test_a_dockerfile_of_the_folder_is_said_to_play_no_part(run, tools, folder, write):
    write("models/Dockerfile", "FROM scratch")
    tools.add("podman")
    result = run(folder, "-t", "x")
    assert result.exit_code == 0
    assert result.stderr == (
        f"Note: {folder}/Dockerfile plays no part: this builds with one of its own\n"
    )


def test_notes_are_shown_before_the_build(run, tools, folder, write):
    write("models/.env", "A=1")
    tools.add("podman", build="sys.exit(1)")
    first, last = run(folder, "-t", "x").stderr.splitlines()
    assert first.startswith("Note: ")
    assert last.startswith("Error: ")


def test_output_of_the_builder_is_shown_as_it_comes_on_both_streams(start, tools, folder, tmp_path):
    os.mkfifo(tmp_path / "gate")
    code = f"""
        print("step 1", flush=True)
        print("warning", file=sys.stderr, flush=True)
        open({str(tmp_path / "gate")!r}).read()
        print("step 2")
    """
    tools.add("podman", build=code)
    building = start(folder, "-t", "x")
    assert building.process.stdout.readline() == "step 1\n"
    assert building.process.stderr.readline() == "warning\n"
    (tmp_path / "gate").write_text("go on")
    assert building.ended() == (0, "step 2\nBuilt x with podman\n", "")


UNTIL_STOPPED = """
    print(os.getpid(), flush=True)
    while True:
        signal.pause()
"""


def is_alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_signal_stops_the_builder_and_leaves_nothing_behind(
    start, tools, folder, write, tmp_path, name, number
):
    write("models/more-than-a-pipe-holds").write_bytes(bytes(1_000_000))
    tools.add(name, build=UNTIL_STOPPED)
    building = start(folder, "-t", "x")
    builder = int(building.process.stdout.readline())
    assert names(tmp_path / "tmp") != []
    building.process.send_signal(number)
    assert building.ended() == (1, "", "\nAborted!\n")
    assert not is_alive(builder)
    assert names(tmp_path / "tmp") == []


def test_a_second_signal_ends_a_builder_that_does_not_stop(start, tools, folder, tmp_path):
    tools.add(
        "podman",
        build="signal.signal(signal.SIGTERM, lambda *_: print('cleaning', flush=True))"
        + UNTIL_STOPPED.replace("\n    ", "\n"),
    )
    building = start(folder, "-t", "x")
    builder = int(building.process.stdout.readline())
    building.process.send_signal(signal.SIGINT)
    assert building.process.stdout.readline() == "cleaning\n"
    building.process.send_signal(signal.SIGINT)
    assert building.ended() == (1, "", "\nAborted!\n")
    assert not is_alive(builder)
    assert names(tmp_path / "tmp") == []


def test_nothing_of_a_build_that_ended_is_left(start, tools, folder, tmp_path):
    tools.add("podman")
    assert start(folder, "-t", "x").ended()[0] == 0
    assert names(tmp_path / "tmp") == []
    assert names(folder) == []
