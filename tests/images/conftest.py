"""Real images, built and run by Podman and Buildah without a daemon and without a registry.

Everything they keep is in a folder of the run. In place of ``python:3.11-slim`` stands an image
made of Debian's own packages. `tox -e images` runs these tests; they need root, and the Debian
packages podman, buildah, runc and mmdebstrap.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import attrs
import pytest

PROJECT = Path(__file__).parents[2]
PYTHON_IMAGE = "localhost/python:3.11-slim"
SLIM = "localhost/mlserver-core:slim"
MLSERVER = (sys.executable, "-m", "mlserver_core.cli.main")
_TOOLS = ("podman", "buildah", "runc", "mmdebstrap")
#: Packages of Debian that make up what Python's own slim image has.
_DEBIAN = (
    "base-files,base-passwd,libc-bin,bash,dash,coreutils,findutils,grep,sed,tar,gzip,mawk,"
    "libstdc++6,libgomp1,ca-certificates,tzdata,python3-venv"
)
#: What Podman gets wrong by itself where root may not raise limits and systemd is not there.
_CONTAINERS = """
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_PYTHON_DOCKERFILE = """
FROM scratch
ADD rootfs.tar /
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
ENV PATH=/opt/python/bin:/usr/local/bin:/usr/bin:/bin \\
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \\
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN cp /usr/share/base-passwd/passwd.master /etc/passwd \\
    && cp /usr/share/base-passwd/group.master /etc/group \\
    && python3 -m venv /opt/python
CMD ["python3"]
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each may have to build an image before, of packages that are downloaded."""
    for item in items:
        item.add_marker(pytest.mark.timeout(300))


def _missing() -> str:
    if os.geteuid() != 0:
        return "images are built as root here"
    missing = [name for name in _TOOLS if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@attrs.define
class Container:
    """A running container.

    Attributes:
        id: its id.
        http: host and port of REST.
        grpc: host and port of gRPC.
    """

    id: str
    http: str
    grpc: str

    def get(self, path: str) -> Any:
        """What REST answers; raises HTTPError."""
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def infer(self, model: str, *values: float) -> list[Any]:
        """The elements of the first output for one row of numbers, over REST."""
        shape = [1, len(values)]
        tensor = {"name": "x", "datatype": "FP64", "shape": shape, "data": list(values)}
        request = urllib.request.Request(
            f"http://{self.http}/v2/models/{model}/infer",
            json.dumps({"inputs": [tensor]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())["outputs"][0]["data"]


@attrs.define
class Engine:
    """Podman, Buildah and the command ``mlserver``, on a storage of their own."""

    folder: Path
    environ: dict[str, str]
    containers: list[str] = attrs.field(factory=list)

    def run(self, *command: str | Path, **environ: str) -> str:
        """What a command prints on standard output; it must succeed.

        Podman has more to say on the other one: that there is no systemd to time health checks.
        """
        done = self.try_(*command, **environ)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def try_(self, *command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """How a command ends, and what it prints."""
        return subprocess.run(
            [str(word) for word in command],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    def mlserver(self, *arguments: str | Path, **environ: str) -> str:
        """What ``mlserver`` prints."""
        return self.run(*MLSERVER, *arguments, **environ)

    def start(
        self,
        image: str,
        *options: str,
        http: int = 8080,
        grpc: int = 8081,
        tool: str = "podman",
        **environ: str,
    ) -> Container:
        """Starts a container and waits until its server is ready, at these ports in it."""
        published = ("-p", f"127.0.0.1::{http}", "-p", f"127.0.0.1::{grpc}")
        run = (tool, "run", "-d", "--pull=never", *published, *options, image)
        id = self.run(*run, **environ).strip()
        self.containers.append(id)
        container = Container(id, *(self._address(id, port) for port in (http, grpc)))
        self._wait_ready(container)
        return container

    def stop(self, container: Container) -> int:
        """Stops a container as an orchestrator does; returns the server's exit code."""
        self.run("podman", "stop", "-t", "30", container.id)
        return int(self.inspect(container.id, "{{.State.ExitCode}}"))

    def inspect(self, name: str, format: str) -> str:
        """A fact of an image or a container."""
        return self.run("podman", "inspect", "--format", format, name).strip()

    def remove_containers(self) -> None:
        """Ends what ``start`` has started."""
        for id in self.containers:
            self.run("podman", "rm", "-f", "-t", "2", id)
        self.containers.clear()

    def _address(self, id: str, port: int) -> str:
        return self.run("podman", "port", id, f"{port}/tcp").strip()

    def _wait_ready(self, container: Container) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                container.get("/v2/health/ready")
                return
            except OSError:  # HTTPError is one too
                running = self.inspect(container.id, "{{.State.Running}}") == "true"
                if not running:
                    break
                time.sleep(0.1)
        logs = self.try_("podman", "logs", container.id)
        pytest.fail(f"not ready:\n{logs.stdout}{logs.stderr}")


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """Podman and Buildah on a storage of their own, with the image of Python in it."""
    missing = _missing()
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("images")
    (folder / "containers.conf").write_text(_CONTAINERS)
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n'
    )
    source = os.pathsep.join([str(PROJECT / "src"), os.environ.get("PYTHONPATH", "")])
    engine = Engine(
        folder,
        {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "PYTHONPATH": source,
            "MLSERVER_BASE_IMAGE": SLIM,
            "BUILDAH_FORMAT": "docker",  # what one has built is of no use for the other format
        },
    )
    with contextlib.ExitStack() as ends:
        ends.callback(_remove, engine)
        _make_python_image(engine)
        yield engine


def _remove(engine: Engine) -> None:
    try:
        engine.remove_containers()
    finally:
        engine.run("podman", "rmi", "-a", "-f")
        shutil.rmtree(engine.folder)


def _make_python_image(engine: Engine) -> None:
    context = engine.folder / "python"
    context.mkdir()
    root = context / "rootfs.tar"
    debootstrap = ("mmdebstrap", "--quiet", "--variant=extract", f"--include={_DEBIAN}")
    engine.run(*debootstrap, "bookworm", root)
    authorities = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(authorities, context / "ca.crt")
    (context / "Dockerfile").write_text(_PYTHON_DOCKERFILE)
    engine.run("podman", "build", "-q", "-t", PYTHON_IMAGE, context)
    shutil.rmtree(context)


@pytest.fixture(scope="session")
def slim(engine):
    """The project's own image, without runtimes."""
    python = f"PYTHON_IMAGE={PYTHON_IMAGE}"
    build = ("podman", "build", "--pull=never", "--format", "docker", "--build-arg", python)
    engine.run(*build, "-t", SLIM, PROJECT)
    return SLIM


@pytest.fixture(scope="session")
def conda_image(engine):
    """Stands for an image with conda: see test_conda.py."""
    context = engine.folder / "conda"
    shutil.copytree(Path(__file__).parent / "conda", context)
    subprocess.run([sys.executable, context / "make_channel.py", context / "channel"], check=True)
    build = ("podman", "build", "--pull=never", "--build-arg", f"PYTHON_IMAGE={PYTHON_IMAGE}")
    engine.run(*build, "-t", "localhost/conda-double", context)
    return "localhost/conda-double"


@pytest.fixture
def start(engine):
    """Starts containers, which end with the test."""
    yield engine.start
    engine.remove_containers()


@pytest.fixture
def folder(tmp_path):
    """Makes a folder for an image: the text of each file by its path."""

    def make(**files: str | dict[str, Any]) -> Path:
        root = tmp_path / "a folder"
        for path, content in files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content)
            file.write_text(text, encoding="utf-8")
        return root

    return make
