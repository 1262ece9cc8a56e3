"""The Dockerfile of every kind of folder keeps to what all tools that build images understand."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from pathlib import Path

import attrs
import pytest

from mlserver_core.cli.images.contents import Contents, UnusableFolder
from mlserver_core.cli.images.dockerfile import PIP_ARGUMENTS, make_dockerfile
from mlserver_core.settings.loading import load_settings

#: Of the reference that every builder reads.
INSTRUCTIONS = {
    *("ARG", "FROM", "USER", "RUN", "COPY", "WORKDIR", "ENV", "EXPOSE"),
    *("STOPSIGNAL", "HEALTHCHECK", "CMD"),
}
CONDA = [None, "environment.yaml", "environment.yml", "conda.yaml", "conda.yml"]
ALL = [
    Contents(
        conda=conda,
        local_conda=local_conda,
        requirements=requirements,
        local_requirements=local_requirements,
    )
    for conda, local_conda, requirements, local_requirements in itertools.product(
        CONDA, [False, True], [None, "requirements.txt"], [False, True]
    )
    if (conda or not local_conda) and (requirements or not local_requirements)
]
every_folder = pytest.mark.parametrize("contents", ALL, ids=repr)


@attrs.define
class Stage:
    image: str
    name: str = ""
    lines: list[tuple[str, str]] = attrs.field(factory=list)

    def values(self, keyword):
        return [value for each, value in self.lines if each == keyword]

    def index(self, keyword, text):
        return next(
            index
            for index, (each, value) in enumerate(self.lines)
            if each == keyword and text in value
        )


def make(contents, base_image="base:1", source="."):
    return make_dockerfile(contents, base_image=base_image, version="0.1.0", source=source)


def instructions(text):
    joined = re.sub(r"\\\n", " ", text)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ")[0], line.partition(" ")[2]) for line in lines]


def parse(text):
    """The ARGs before the first stage, and the stages."""
    before, stages = [], []
    for keyword, value in instructions(text):
        if keyword == "FROM":
            image, _, name = value.partition(" AS ")
            stages.append(Stage(image, name))
        elif stages:
            stages[-1].lines.append((keyword, value))
        else:
            before.append((keyword, value))
    return before, stages


@every_folder
def test_no_instruction_is_beyond_the_oldest_builder(contents):
    text = make(contents)
    assert text.isascii()
    assert text.endswith("\n")
    for keyword, value in instructions(text):
        assert keyword in INSTRUCTIONS
        assert "<<" not in value
        if keyword == "RUN":
            assert not value.startswith(("--", "["))
        if keyword == "COPY":
            options = re.findall(r"(?:^| )--(\w+)", value)
            assert set(options) <= {"from", "chown"}
            assert not re.search(r"[*?\[\]]", value)


@every_folder
def test_every_stage_is_of_an_argument_or_of_a_stage_before(contents):
    before, stages = parse(make(contents))
    arguments = {value.partition("=")[0] for keyword, value in before if keyword == "ARG"}
    assert all(keyword == "ARG" and "=" in value for keyword, value in before)
    known, used = {f"${{{name}}}" for name in arguments}, set()
    for stage in stages:
        assert stage.image in known
        used.add(stage.image)
        used.update(re.findall(r"--from=(\S+)", " ".join(stage.values("COPY"))))
        known.add(stage.name)
    # Builders without BuildKit also build what nobody needs.
    assert known - used == {""}


@pytest.mark.parametrize("folder", [".", "folder"])
@every_folder
def test_what_is_copied_is_there(contents, folder):
    _, stages = parse(make(contents, source=folder))
    by_name = {}
    for stage in stages:
        above = by_name.get(stage.image, [])
        for value in stage.values("COPY"):
            *options, source, _ = value.split()
            origin = next((each[7:] for each in options if each.startswith("--from=")), None)
            if origin is None:
                names = ["", contents.conda, contents.requirements]
                assert source in [f"{folder}/{name}" for name in names]
            else:
                assert source.rstrip("/") in " ".join(by_name[origin])
        by_name[stage.name] = above + [value for _, value in stage.lines]


@every_folder
def test_targets_of_copies_are_folders_or_whole_names(contents):
    _, stages = parse(make(contents))
    for stage in stages:
        for value in stage.values("COPY"):
            source, target = value.split()[-2:]
            assert target.endswith("/") or target.rpartition("/")[2] == source.rpartition("/")[2]
            if not target.startswith("/"):
                assert stage.index("WORKDIR", "/") < stage.index("COPY", value)


@every_folder
def test_the_image_runs_as_a_numbered_user_who_is_not_root(contents):
    _, stages = parse(make(contents))
    for stage in stages:
        users = stage.values("USER")
        assert all(map(str.isdecimal, users))
        assert int(users[-1]) != 0
    image = stages[-1]
    assert image.index("USER", "1000") < image.index("CMD", "")


@every_folder
def test_commands_are_words_and_not_for_a_shell_to_read(contents):
    image = parse(make(contents))[1][-1]
    (command,) = image.values("CMD")
    words = json.loads(command)
    assert words[0] in {"sh", "bash"}
    assert words[1] == "-c"
    assert words[2].endswith('exec mlserver start "$MLSERVER_MODELS_DIR"')
    (check,) = image.values("HEALTHCHECK")
    keyword, _, words = check[check.index("CMD") :].partition(" ")
    assert (keyword, json.loads(words)) == ("CMD", ["mlserver", "healthcheck"])
    assert image.values("STOPSIGNAL") == ["SIGTERM"]
    assert image.values("EXPOSE") == ["8080 8081 8082"]


@every_folder
def test_the_whole_folder_arrives_readable_by_any_user(contents):
    _, stages = parse(make(contents))
    (files,) = [stage for stage in stages if stage.name == "files"]
    copied = files.index("COPY", "./ /opt/mlserver/models/")
    assert files.index("RUN", "chmod -R a+rX,g=u /opt/mlserver/models") == copied + 1
    copies = stages[-1].values("COPY")
    assert "--from=files --chown=1000:0 /opt/mlserver/models/ /opt/mlserver/models/" in copies


@every_folder
def test_packages_are_installed_once_and_not_again_for_every_change_of_a_model(contents):
    image = parse(make(contents))[1][-1]
    runs = image.values("RUN")
    if not (contents.conda or contents.requirements):
        assert runs == []
        return
    (run,) = runs
    installed = image.index("RUN", run)
    models = image.index("COPY", "--from=files")
    assert (models < installed) is contents.local_requirements
    assert ("-r " in run) is bool(contents.requirements)
    if contents.requirements and not contents.local_requirements:
        assert "-r /opt/mlserver/requirements.txt" in run
        assert image.index("COPY", "/requirements.txt /opt/mlserver/requirements.txt") < installed
    # Into the environment that the server runs in, which gets the server of this version.
    conda = "--python /opt/mlserver/environment/bin/python"
    assert (conda in run) is bool(contents.conda)
    assert ("'mlserver-core~=0.1.0'" in run) is bool(contents.conda)
    path = "PATH=/opt/mlserver/environment/bin:$PATH"
    assert any(path in value for value in image.values("ENV")) is bool(contents.conda)


@every_folder
def test_a_conda_environment_is_made_and_unpacked_while_the_image_is_built(contents):
    _, stages = parse(make(contents))
    found = [stage for stage in stages if stage.name == "environment"]
    assert bool(found) is bool(contents.conda)
    for stage in found:
        file = "" if contents.local_conda else contents.conda
        assert ("COPY", f"./{file} ./{file}") in stage.lines
        assert stage.index("RUN", f"-f {contents.conda}") < stage.index("RUN", "/bin/conda-unpack")
        (command,) = stages[-1].values("CMD")
        assert "conda-unpack" not in command


@every_folder
def test_settings_of_pip_hold_while_it_installs_and_leave_nothing_behind(contents):
    _, stages = parse(make(contents))
    for stage in stages:
        arguments = [value for value in stage.values("ARG") if value in PIP_ARGUMENTS]
        installs = any(
            "pip install" in each.replace(" --python /opt/mlserver/environment/bin/python", "")
            or "conda env" in each
            for each in stage.values("RUN")
        )
        assert arguments == (list(PIP_ARGUMENTS) if installs else [])
        assert not any("PIP_" in value for value in stage.values("ENV"))


@pytest.mark.parametrize(
    "image",
    [
        "python",
        "my-base:1.0",
        "localhost/x_y:0.1.0-slim",
        "host:5000/team/x@sha256:0123",
        "registry.example/Library/x.y",
    ],
)
def test_a_base_image_is_named_in_the_first_argument(image):
    before, stages = parse(make(Contents(), base_image=image))
    assert before == [("ARG", f"BASE_IMAGE={image}")]
    assert stages[0].image == "${BASE_IMAGE}"


@pytest.mark.parametrize(
    "image",
    [
        "",
        " ",
        "a b",
        "base\nRUN touch /x",
        "base\n",
        "base\r",
        "\u2028x",
        "-base",
        "$(touch x)",
        "${PATH}",
        "a;b",
        "a'b",
        'a"b',
        "a\\",
        "a#b",
        "bäse",
    ],
)
def test_what_is_no_name_of_an_image_gets_into_no_dockerfile(image):
    with pytest.raises(UnusableFolder, match="expected the name of an image"):
        make(Contents(), base_image=image)


def settings_of(contents, folder):
    """Runs the step that writes the image's lowest settings, and takes over its variables."""
    _, stages = parse(make(contents).replace("/opt/mlserver", str(folder)))
    (run,) = stages[0].values("RUN")
    subprocess.run(["sh", "-c", run], check=True)
    words = " ".join(stages[-1].values("ENV")).split()
    return dict(word.split("=", 1) for word in words)


def test_the_server_of_an_image_can_be_reached_unless_somebody_says_otherwise(tmp_path):
    environ = settings_of(Contents(), tmp_path)
    models = Path(environ["MLSERVER_MODELS_DIR"])
    assert models == tmp_path / "models"
    settings = load_settings(models, environ, strict=True).value
    assert settings.host == "0.0.0.0"
    assert settings.environments_dir.startswith("/tmp/")
    (models / "settings.json").write_text('{"host": "10.0.0.1"}')
    elsewhere = tmp_path / "mounted"
    assert load_settings(elsewhere, environ, strict=True).value.host == "10.0.0.1"
    changed = {**environ, "MLSERVER_HOST": "127.0.0.1"}
    assert load_settings(elsewhere, changed, strict=True).value.host == "127.0.0.1"


def test_the_server_takes_the_place_of_the_shell_and_so_gets_the_signals(tools, tmp_path):
    tools.add_file("mlserver", '#!/bin/sh\nprintf "%s\\n" $$ "$@"\n')
    (command,) = parse(make(Contents()))[1][-1].values("CMD")
    environ = {
        "PATH": f"{tools.path}:{os.environ['PATH']}",
        "MLSERVER_MODELS_DIR": "/a b;$(touch x)",
    }
    with subprocess.Popen(
        json.loads(command), env=environ, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = process.stdout.read().splitlines()
    assert lines == [str(process.pid), "start", "/a b;$(touch x)"]
    assert not (tmp_path / "x").exists()
