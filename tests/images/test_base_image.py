"""The project's own Dockerfile."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_the_image_runs_as_another_than_root_and_serves_its_own_folder(engine, slim):
    [facts] = json.loads(engine.run("podman", "inspect", slim))
    config = facts["Config"]
    assert config["User"] == "1000"
    assert config["Cmd"] == ["sh", "-c", 'exec mlserver start "$MLSERVER_MODELS_DIR"']
    assert config["StopSignal"] == "SIGTERM"
    assert set(config["ExposedPorts"]) == {"8080/tcp", "8081/tcp", "8082/tcp"}
    assert facts["Healthcheck"]["Test"] == ["CMD", "mlserver", "healthcheck"]


def test_slim_has_no_runtime_but_its_wheel(engine, slim):
    run = ("podman", "run", "--rm", "--pull=never", slim)
    plugins = json.loads(engine.run(*run, "mlserver", "plugins", "--json"))
    assert "sklearn" not in [name for plugin in plugins for name in plugin["runtimes"]]
    wheels = engine.run(*run, "ls", "/opt/mlserver/wheels").split()
    assert [name.partition("-")[0] for name in wheels] == ["mlserver_core", "mlserver_core_sklearn"]


def test_nothing_in_the_image_can_be_changed_by_its_user(engine, slim):
    run = ("podman", "run", "--rm", "--pull=never", "--user", "4321", slim)
    found = engine.run(*run, "find", "/opt/mlserver", "-writable", "-not", "-type", "l")
    assert found == ""


def test_with_a_runtime_it_serves_the_example_of_the_readme(engine, slim, start, tmp_path):
    iris = tmp_path / "iris"
    shutil.copytree(PROJECT / "examples" / "iris", iris)
    subprocess.run([sys.executable, iris / "train.py"], check=True)
    build = ("podman", "build", "--pull=never", "--format", "docker")
    python = ("--build-arg", "PYTHON_IMAGE=localhost/python:3.11-slim")
    runtimes = ("--build-arg", "RUNTIMES=sklearn")
    engine.run(*build, *python, *runtimes, "-t", "localhost/mlserver-core:sklearn", PROJECT)
    base = ("--base-image", "localhost/mlserver-core:sklearn")
    engine.mlserver("build", iris, *base, "-t", "localhost/iris:1")
    container = start("localhost/iris:1", "--user", "71234", "--read-only")
    assert container.infer("iris", 5.1, 3.5, 1.4, 0.2) == [0]


def test_a_runtime_that_there_is_not_ends_the_build(engine, slim):
    build = ("podman", "build", "--pull=never", "--build-arg", "RUNTIMES=sklern")
    python = ("--build-arg", "PYTHON_IMAGE=localhost/python:3.11-slim")
    done = engine.try_(*build, *python, PROJECT)
    assert done.returncode != 0
    assert "mlserver_core_sklern" in done.stdout + done.stderr
