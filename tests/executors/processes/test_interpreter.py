from __future__ import annotations

import json
import os
import sys

import pytest

from mlserver_core.executors.processes.interpreter import EnvironmentPython, ServerPython
from mlserver_core.settings import Settings

OF_THE_SERVER = {
    "PATH": "/usr/bin",
    "HOME": "/home/somebody",
    "PYTHONPATH": "/server/packages",
    "PYTHONHOME": "/server",
    "PYTHONUNBUFFERED": "1",
    "VIRTUAL_ENV": "/server/venv",
    "CONDA_PREFIX": "/server/conda",
}


@pytest.fixture
def python(tmp_path):
    return EnvironmentPython(folder=tmp_path, identity="x")


def test_variables_are_those_of_the_active_environment(python, tmp_path):
    assert python.environ(OF_THE_SERVER) == {
        "PATH": f"{tmp_path}/bin{os.pathsep}/usr/bin",
        "HOME": "/home/somebody",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        "VIRTUAL_ENV": str(tmp_path),
    }


def test_an_environment_of_conda_has_the_variable_of_conda(python, tmp_path):
    (tmp_path / "conda-meta").mkdir()
    found = python.environ(OF_THE_SERVER)
    assert found["CONDA_PREFIX"] == str(tmp_path)
    assert "VIRTUAL_ENV" not in found


def test_of_the_servers_import_path_only_the_folders_of_models_are_passed_on(
    python, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "models"
    settings = Settings(model_repository_root="models")
    monkeypatch.setattr(sys, "path", ["/server/packages", str(tmp_path), str(root)])
    executable, *_, paths, _, _ = python.command(settings, 3, 4)
    assert executable == str(tmp_path / "bin" / "python")
    assert json.loads(paths) == [str(tmp_path), str(root)]
    monkeypatch.setattr(sys, "path", ["/server/packages"])  # a server that was started in code
    assert json.loads(python.command(settings, 3, 4)[-3]) == []


def test_the_servers_own_python_has_all_of_it():
    command = ServerPython().command(Settings(), 3, 4)
    assert command[0] == sys.executable
    assert json.loads(command[-3]) == sys.path
    assert ServerPython().environ(OF_THE_SERVER) == OF_THE_SERVER
