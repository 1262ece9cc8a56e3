"""Environments as their users make them, and archives as they make none."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from importlib import metadata
from pathlib import Path

import pytest

import mlserver_core
from mlserver_core.executors.processes.environments.members import Limits
from mlserver_core.executors.processes.environments.store import Store
from mlserver_core.executors.processes.frames import PROTOCOL

_NAME = re.compile(r"[\w.-]+")
#: Answers as the Python of an environment that a worker could run in.
ANSWERS = "#!/bin/sh\necho '" + json.dumps({"python": [3, 11], "protocol": PROTOCOL}) + "'\n"


#: A plugin with a runtime of its own, and one that the server knows under the same name.
PLUGIN = """
import sys

from mlserver_core import MLModel, hookimpl
from mlserver_core.types import InferenceResponse


class Runtime(MLModel):
    async def predict(self, payload):
        return InferenceResponse(outputs=[], parameters={"prefix": sys.prefix})


@hookimpl
def mlserver_register_runtimes(registry):
    registry.add("only-there", "only_there.Runtime")
    registry.add("on-both-sides", "only_there.Runtime")
"""


def _needed(name: str, found: dict[str, metadata.Distribution]) -> dict[str, metadata.Distribution]:
    """A distribution and what it needs, as they are installed here."""
    if name not in found:
        found[name] = metadata.distribution(name)
        for text in found[name].requires or ():
            if "extra ==" not in text:
                try:
                    _needed(_NAME.match(text)[0].lower().replace("_", "-"), found)
                except metadata.PackageNotFoundError:  # of another platform or Python
                    continue
    return found


def _copy(source: object, target: object) -> None:
    """Makes a link where it can: no file of an installed package is written in place."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def install(site: Path) -> None:
    """Installs mlserver-core into a folder of packages, with what it needs, and nothing else."""
    for name, distribution in _needed("mlserver-core", {}).items():
        files = distribution.files or ()
        for file in files:
            if ".." in file.parts or file.suffix == ".pth":  # an editable install has one
                continue
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(distribution.locate_file(file), target)
        if name == "mlserver-core":
            package = Path(mlserver_core.__file__).parent  # it may be installed as editable
            shutil.copytree(
                package, site / "mlserver_core", dirs_exist_ok=True, copy_function=_copy
            )


def run(*command: object, **options) -> None:
    subprocess.run(list(map(str, command)), check=True, **options)


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> Path:
    """A virtual environment with mlserver-core and version 2 of ``toydep``."""
    folder = tmp_path_factory.mktemp("made") / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    [site] = folder.glob("lib/python*/site-packages")
    install(site)
    (site / "toydep.py").write_text("VERSION = '2.0'\n", "utf-8")
    (site / "only_there.py").write_text(PLUGIN, "utf-8")
    described = site / "only_there-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: only-there\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[mlserver_core]\nonly-there = only_there\n")
    return folder


def _find_other_python() -> str:
    """A Python of another minor version; empty where this machine has none."""
    own = Path(sys.base_prefix)
    for minor in (12, 13, 11, 10):
        if minor != sys.version_info.minor:
            name = f"python3.{minor}"
            candidates = [*own.parent.glob(f"*/bin/{name}"), own / "bin" / name, shutil.which(name)]
            for each in filter(None, candidates):
                if (
                    subprocess.run([each, "-c", ""], check=False, capture_output=True).returncode
                    == 0
                ):
                    return str(each)
    return ""


@pytest.fixture(scope="session")
def other_environment(tmp_path_factory) -> Path:
    """A virtual environment of another Python, with mlserver-core from where that finds it."""
    python = _find_other_python()
    if not python:
        pytest.skip("needs a Python of another version beside this one")
    folder = tmp_path_factory.mktemp("other") / "environment"
    run(python, "-m", "venv", folder)
    needed = [each for each in metadata.requires("mlserver-core") if "extra ==" not in each]
    pip = (folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    run(*pip, "--only-binary", ":all:", "--no-compile", *needed)
    [site] = folder.glob("lib/python*/site-packages")
    package = Path(mlserver_core.__file__).parent
    shutil.copytree(package, site / "mlserver_core", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "toydep.py").write_text("VERSION = '2.0'\n", "utf-8")
    return folder


@pytest.fixture(scope="session")
def packed(environment) -> Path:
    """The same, packed by venv-pack."""
    archive = environment.with_name("environment.tar")
    run(sys.executable, "-m", "venv_pack", "-q", "-p", environment, "-o", archive)
    return archive


@pytest.fixture
def tar(tmp_path):
    """Writes an archive of members: each a name and data, or a name and what its header says."""

    def write(*members, name="environment.tar.gz", mode="w:gz"):
        path = tmp_path / name
        with tarfile.open(path, mode) as archive:
            for member, what in members:
                info = tarfile.TarInfo(member)
                data = what if isinstance(what, bytes) else b""
                info.size, info.mode = len(data), 0o755
                for key, value in ({} if isinstance(what, bytes) else what).items():
                    setattr(info, key, value)
                archive.addfile(info, io.BytesIO(data))
        return path

    return write


@pytest.fixture
def toy(tar):
    """Writes an archive of an environment that does nothing but say that it is a good one."""

    def write(*more, **options):
        return tar(("bin/python", ANSWERS.encode()), *more, **options)

    return write


@pytest.fixture
def thin(environment, tar):
    """Writes an archive with a ``toydep`` of its own, for the Python of the made environment."""

    def write(version, *more, **options):
        python = f'#!/bin/sh\nPYTHONPATH="${{0%/*}}/../lib" exec {environment}/bin/python "$@"\n'
        toydep = f"VERSION = {version!r}\n"
        return tar(
            ("bin/python", python.encode()), ("lib/toydep.py", toydep.encode()), *more, **options
        )

    return write


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "environments", Limits(bytes=2**20, entries=100))


@pytest.fixture
def take(store):
    """Has the store take an archive, as a server does; gives the environment's folder."""
    return lambda archive: store.take(archive, threading.Event())[1]
