"""What ``mlserver init`` makes is installed, tested and asked as its README says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlserver_core import hookimpl
from mlserver_core.cli.init import init as init_command
from mlserver_core.cli.main import make_commands
from mlserver_core.hooks.manager import PluginManager

ROOT = Path(__file__).parents[2]
PORTS = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
KINDS = ("runtime", "codec")


def run(*command, code=0, **options):
    done = subprocess.run(
        [*map(str, command)], check=False, capture_output=True, text=True, **options
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment as a user's, where the server is installed, and nothing of ours is
    changed; returns the variables that activate it.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    ours = sysconfig.get_path("purelib")
    Path(purelib, "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    # All that pip would have to fetch is there.
    offline = "--quiet --no-index --no-deps --no-build-isolation"
    for name, command in {
        "pip": f'{shlex.quote(sys.executable)} -m pip --python {python} "$@" {offline}',
        "pytest": f'{python} -m pytest "$@"',
        "mlserver": f'{python} -c "from mlserver_core.cli.main import main; main()" "$@"',
    }.items():
        script = folder / "bin" / name
        script.write_text(f"#!/bin/sh\nexec {command}\n")
        script.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if "MLSERVER" not in name}
    path = f"{folder / 'bin'}{os.pathsep}{clean['PATH']}"
    return {**clean, "PATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.fixture(scope="module")
def made(environment, tmp_path_factory):
    """Makes a plugin of a kind and follows its README up to the start; each once."""
    folders = {}

    def make(kind):
        if kind not in folders:
            folder = tmp_path_factory.mktemp(kind)
            name = f"try-{kind}"
            said = run("mlserver", "init", name, "--kind", kind, cwd=folder, env=environment)
            commands = readme_of(folder / name, "sh")[0].splitlines()
            assert commands[-1] == "mlserver start models"
            assert "\n".join(f"    {each}" for each in [f"cd {name}", *commands]) in said
            for command in commands[:-1]:
                run("sh", "-c", command, cwd=folder / name, env=environment)
            folders[kind] = folder / name
        return folders[kind]

    return make


@pytest.fixture
def ask(launch, environment):
    """Starts the server as the README says; returns what its curl gets, and what it should."""

    def start_and_ask(folder):
        start, curl = readme_of(folder, "sh")
        command = shlex.split(start.splitlines()[-1])
        port, _ = launch([*command, *PORTS], folder, environment).wait_started()
        call = curl.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
        answer = run(*shlex.split(call), "-s", env=environment)
        return answer, readme_of(folder, "json")[0]

    return start_and_ask


def readme_of(folder, language):
    """The blocks of the README in a language."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)\n^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_installs_passes_its_tests_and_answers_as_its_readme_says(made, ask, kind):
    answer, expected = ask(made(kind))
    assert answer == expected


def test_whoever_writes_only_predict_gets_its_answer(made, ask, environment, tmp_path):
    folder = made("runtime")
    runtime = folder / "src" / "mlserver_core_try_runtime" / "runtime.py"
    test = folder / "tests" / "test_runtime.py"
    before = runtime.read_text(), test.read_text()
    try:
        runtime.write_text(
            before[0].replace("answer = numbers * 2", "answer = numbers.sum(axis=1)")
        )
        assert "1 failed, 1 passed" in run("pytest", code=1, cwd=folder, env=environment)
        test.write_text(before[1].replace("[[2.0, 4.0], [6.0, 8.0]]", "[[3.0], [7.0]]"))
        run("pytest", cwd=folder, env=environment)
        answer, _ = ask(folder)
    finally:
        runtime.write_text(before[0])
        test.write_text(before[1])
    assert answer.endswith(
        '"shape":[2,1],"datatype":"FP64","parameters":{"content_type":"np"},"data":[3.0,7.0]}]}'
    )


def test_a_client_that_sends_what_the_codec_cannot_read_is_told_where(made, launch, environment):
    folder = made("codec")
    command = ["mlserver", "start", "models", *PORTS]
    port, _ = launch(command, folder, environment).wait_started()
    call = readme_of(folder, "sh")[1].replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    wrong = run(*shlex.split(call.replace('"-3"', '"much"')), "-s", "-w", " %{http_code}")
    assert wrong == (
        """{"error":"tensor 'x', element 1: expected a number such as 12.50, got 'much'"} 400"""
    )
    untyped = run(*shlex.split(call.replace('"content_type"', '"other"')), "-s")
    assert """"data":["'12.50'","'-3'"]""" in untyped


def test_the_templates_are_in_the_wheel(tmp_path, mlserver):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignored)
    pip = (sys.executable, "-m", "pip", "-q")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", source)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    for kind in KINDS:
        done = mlserver("init", f"of-{kind}", "--kind", kind, PYTHONPATH=str(tmp_path / "site"))
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"of-{kind}" / "src" / f"mlserver_core_of_{kind}" / "py.typed").exists()


@pytest.mark.parametrize("name", ["try", "a-name-of-25-letters-here", "string", "request"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_follows_our_own_rules(mlserver, tmp_path, kind, name):
    """``tox -e type`` has both tools."""
    for tool in ("ruff", "mypy"):
        pytest.importorskip(tool)
    name = f"mlserver-{name}"
    assert mlserver("init", name, "--kind", kind).returncode == 0
    folder = tmp_path / name
    config = ("--config", ROOT / "pyproject.toml")
    # A model's folder is no package, as those in examples.
    ruff = (sys.executable, "-m", "ruff")
    models = ("--extend-per-file-ignores", "models/**:INP001")
    run(*ruff, "check", *config, *models, cwd=folder)
    run(*ruff, "format", "--check", *config, cwd=folder)
    paths = os.pathsep.join([str(folder / "src"), os.environ.get("PYTHONPATH", "")])
    checked = [*folder.glob("src/*/*.py"), *folder.glob("models/*/*.py")]
    mypy = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path.parent / "cache")
    run(*mypy, *checked, cwd=folder, env={**os.environ, "MYPYPATH": paths})


@pytest.fixture
def init(tmp_path, monkeypatch):
    """Runs ``mlserver init`` in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(make_commands(), ["init", *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1x"], "'1x' cannot be a name"),
        (["a/b"], "'a/b' cannot be a name"),
        ([""], "'' cannot be a name"),
        (["mlserver_core"], "'mlserver_core' cannot be a name"),
        (["np"], "the plugin 'codecs' brings the content type 'np'"),
        (["numpy"], "a package numpy is installed"),
        (["x", "--kind", "other"], "'other' is not one of 'runtime', 'codec'"),
        ([], "Missing argument 'NAME'"),
        (["-t", "https://example.org/template"], "choose one with --kind, runtime or codec"),
        (["--template", "gh:x/y", "x"], "MLServer fetches a template"),
    ],
)
def test_what_cannot_be_used_is_exit_code_2_and_makes_nothing(init, tmp_path, arguments, said):
    refused = init(*arguments)
    assert refused.exit_code == 2
    assert said in " ".join(refused.output.split())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(init, tmp_path):
    (tmp_path / "price").mkdir()
    (tmp_path / "price" / "mine.py").touch()
    refused = init("price")
    assert (refused.exit_code, refused.output) == (
        1,
        "Error: price is there already and not empty: give another name, or remove it\n",
    )
    assert [each.name for each in tmp_path.rglob("*")] == ["price", "mine.py"]


def test_a_disk_that_takes_no_more_is_said_and_nothing_is_left(tmp_path):
    command = f"ulimit -f 0; exec {shlex.quote(sys.executable)} -m mlserver_core.cli.main init x"
    failed = subprocess.run(
        ["sh", "-c", command], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert (failed.returncode, failed.stderr) == (
        1,
        "Error: x cannot be made here: File too large; nothing is left of it\n",
    )
    assert list(tmp_path.iterdir()) == []


class Broken:
    @hookimpl
    def mlserver_register_runtimes(self):
        raise OSError("no shelf")


def test_a_plugin_that_cannot_say_its_names_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plugins = PluginManager()
    plugins.register("broken", Broken())
    refused = CliRunner().invoke(init_command, ["x"], obj=plugins)
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: plugin 'broken': hook mlserver_register_runtimes")
    assert list(tmp_path.iterdir()) == []
