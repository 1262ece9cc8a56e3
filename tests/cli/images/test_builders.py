from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlserver_core.cli.images import builders
from mlserver_core.cli.images.builders import BUILDERS, Build, NoBuilder, command_of, find_builder

DEAD = "sys.exit('Cannot connect to the Docker daemon at unix:///var/run/docker.sock.')"


@pytest.fixture(autouse=True)
def path(tools, monkeypatch):
    """No builder of this machine is in the way, or of help."""
    monkeypatch.setenv("PATH", str(tools.path))


@pytest.mark.parametrize("name", BUILDERS)
def test_the_only_builder_that_is_installed_is_taken(tools, name):
    tools.add(name)
    assert find_builder("auto") == name
    assert find_builder(name) == name


def test_docker_with_a_daemon_comes_before_podman_and_podman_before_buildah(tools):
    for name in BUILDERS:
        tools.add(name)
    assert find_builder("auto") == "docker"
    (tools.path / "docker").unlink()
    assert find_builder("auto") == "podman"


def test_docker_without_a_daemon_is_passed_over(tools):
    tools.add("docker", version=DEAD)
    tools.add("podman")
    assert find_builder("auto") == "podman"


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (DEAD, "has no daemon to talk to (Cannot connect to the Docker daemon at unix:"),
        ("sys.exit(1)", "has no daemon to talk to (it says nothing)"),
        ("os.write(2, b'\\xff no'); sys.exit(1)", "has no daemon to talk to (\ufffd no)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "has no daemon to talk to"),
    ],
)
def test_asked_for_by_name_docker_without_a_daemon_is_an_error_that_says_why(
    tools, version, reason
):
    tools.add("docker", version=version)
    tools.add("podman")
    with pytest.raises(NoBuilder, match=re.escape(reason)):
        find_builder("docker")


def test_a_daemon_that_does_not_answer_is_given_up(tools, monkeypatch):
    monkeypatch.setattr(builders, "_PATIENCE", 0.3)
    tools.add("docker", version="signal.pause()")
    with pytest.raises(NoBuilder, match=r"its daemon did not answer within 0\.3 seconds"):
        find_builder("docker")
    tools.add("buildah")
    assert find_builder("auto") == "buildah"


def test_a_file_that_is_no_program_is_passed_over(tools):
    tools.add_file("docker", "\0")
    with pytest.raises(NoBuilder, match="cannot be run: Exec format error"):
        find_builder("docker")
    tools.add("podman")
    assert find_builder("auto") == "podman"


def test_a_file_that_may_not_be_run_counts_as_not_installed(tools):
    tools.add("podman")
    (tools.path / "podman").chmod(0o644)
    with pytest.raises(NoBuilder, match="podman: is not installed"):
        find_builder("auto")


def test_without_any_builder_the_error_says_what_was_looked_for_and_what_to_do():
    with pytest.raises(NoBuilder) as raised:
        find_builder("auto")
    text = str(raised.value)
    for name in BUILDERS:
        assert f"{name}: is not installed" in text
    assert "Install one of docker, podman, buildah" in text
    assert "mlserver dockerfile" in text


BUILD = Build(
    dockerfile=Path("/tmp/D"), ignore_file=Path("/tmp/i"), tag="-t; touch x", options=("--a", "b c")
)


def test_each_builder_gets_the_options_that_it_knows():
    assert command_of("docker", BUILD, "-") == [
        *("docker", "build", "-f", "/tmp/D", "-t", "-t; touch x"),
        *("--a", "b c", "-"),
    ]
    for name in ("podman", "buildah"):
        assert command_of(name, BUILD, "/x y") == [
            *(name, "build", "-f", "/tmp/D", "-t", "-t; touch x"),
            *("--format", "docker", "--ignorefile", "/tmp/i"),
            *("--a", "b c", "/x y"),
        ]


@pytest.mark.parametrize("name", BUILDERS)
def test_a_folder_with_rules_of_its_own_gets_no_others(name):
    build = Build(dockerfile=Path("/tmp/D"), ignore_file=None, tag="x")
    assert "--ignorefile" not in command_of(name, build, "/x")
