"""Real servers for every test that wants one: as a process, or as an engine without listeners."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.server import MLServer
from mlserver_core.settings import Settings
from mlserver_core.settings.loading import load_model_settings
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext

REST = re.compile(r"REST server listening on http://(\S+):(\d+)$")
GRPC = re.compile(r"gRPC server listening on (\S+):(\d+)$")
#: Where the models of started servers live: in the server, or in so many workers. `tox -e workers`
#: runs every test that starts a server with one.
WORKERS = os.environ.get("TEST_PARALLEL_WORKERS", "0")
METRICS = re.compile(r"Metrics server listening on http://(\S+):(\d+)/metrics$")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what starts a server process, so that the fast part can leave it out."""
    for item in items:
        if {"serve", "shared_server", "module_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@attrs.frozen
class Scraped:
    """What somebody who collects metrics gets."""

    text: str

    def series(self, name: str) -> list[dict[str, str]]:
        """The labels of every series of that name."""
        return [sample.labels for sample in self._samples() if sample.name == name]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of one series; None where there is none."""
        found = (each for each in self._samples() if (each.name, each.labels) == (name, labels))
        return next((each.value for each in found), None)

    def _samples(self) -> Iterator[Any]:
        for family in text_string_to_metric_families(self.text):
            yield from family.samples


@attrs.define
class ServerProcess:
    """A started ``mlserver start``; ``lines`` is what it has printed so far."""

    process: subprocess.Popen[str]
    lines: list[str] = attrs.field(factory=list)
    http_port: int = 0
    grpc_port: int = 0
    metrics_port: int = 0
    _printed: queue.SimpleQueue[str] = attrs.field(factory=queue.SimpleQueue, init=False)
    _reader: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def scrape(self) -> Scraped:
        """The metrics now, from their own listener."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return Scraped(answer.read().decode())

    def wait_for(self, text: str) -> str:
        """Reads lines until one contains ``text``."""
        while line := self._next_line():
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return self.lines[-1]
        raise AssertionError(f"no line with {text!r} in:\n" + "\n".join(self.lines))

    def stop(self) -> int:
        """Sends SIGTERM, reads what is left and returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Waits for the end, reads what is left and returns the exit code."""
        code = self.process.wait(timeout=120)
        self._reader.join()
        while line := self._next_line():
            self.lines.append(line.rstrip("\n"))
        return code

    def _next_line(self) -> str:
        """The next line that was printed; empty at the end, however often it is asked for."""
        line = self._printed.get()
        if not line:
            self._printed.put(line)
        return line

    def _read(self) -> None:
        """Takes what the server prints, at once: it would wait while its pipe is full."""
        with self.process.stdout as printed:
            for line in printed:
                self._printed.put(line)
        self._printed.put("")


def start_server(folder: Path, *arguments: str, **environ: str) -> ServerProcess:
    """Starts a server on free ports and returns once its models are loaded."""
    command = [sys.executable, "-m", "mlserver_core.cli.main", "start", str(folder)]
    command += ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
    command += arguments
    clean = {name: value for name, value in os.environ.items() if "MLSERVER" not in name}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**clean, "PYTHONUNBUFFERED": "1", "MLSERVER_PARALLEL_WORKERS": WORKERS, **environ},
    )
    server = ServerProcess(process)
    server.http_port = int(REST.search(server.wait_for("REST server listening"))[2])
    server.grpc_port = int(GRPC.search(server.wait_for("gRPC server listening"))[2])
    server.wait_for("Started with")
    found = filter(None, map(METRICS.search, server.lines))
    server.metrics_port = next((int(match[2]) for match in found), 0)
    return server


def write_model(folder: Path, code: str | None = None, **settings: Any) -> Path:
    """Writes a ``model-settings.json``, and ``models.py`` beside it where there is code."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    if code is not None:
        (folder / "models.py").write_text(code, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models that the shared server serves: see ``tests/served``."""
    root = tmp_path_factory.mktemp("models")
    for source in sorted(Path(__file__).parent.glob("served/*")):
        target = root / source.name
        target.mkdir()
        for file in source.iterdir():
            if file.is_file():
                (target / file.name).write_bytes(file.read_bytes())
    return root


@pytest.fixture(scope="session")
def shared_server(models_folder: Path) -> Iterator[ServerProcess]:
    """One server for all tests that only ask it something."""
    server = start_server(models_folder)
    yield server
    assert server.stop() == 0, "\n".join(server.lines)


@pytest.fixture(scope="module")
def module_server() -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers that the tests of one module share."""
    servers: list[ServerProcess] = []

    def start(folder: Path, **environ: str) -> ServerProcess:
        servers.append(start_server(folder, **environ))
        return servers[-1]

    yield start
    for server in servers:
        assert server.stop() == 0, "\n".join(server.lines)


@pytest.fixture
def serve() -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers of a test's own, as ``start_server``; they are gone when it ends."""
    servers: list[ServerProcess] = []

    def start(folder: Path, *arguments: str, **environ: str) -> ServerProcess:
        servers.append(start_server(folder, *arguments, **environ))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.wait()


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model below the test's own folder, as ``write_model``."""

    def write(name: str, code: str | None = None, **settings: Any) -> Path:
        return write_model(tmp_path / name, code, **settings)

    return write


@pytest.fixture
def write(tmp_path):
    """Writes a file below the test's own folder."""

    def write_file(path, text=""):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    return write_file


@pytest.fixture
def folder_model(write):
    """Writes a model folder and reads its settings, as a repository does."""

    def make(name, code, implementation="models.Model", **settings):
        write(f"{name}/models.py", code)
        values = {"implementation": implementation, **settings}
        path = write(f"{name}/model-settings.json", json.dumps(values))
        return load_model_settings(path, {}).value

    return make


@pytest.fixture
async def start():
    """Starts servers that have every built-in plugin but the transports."""
    servers = []

    async def start_server(*models, plugin=None, **settings):
        plugins = PluginManager()
        plugins.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": "rest,grpc,metrics"})
        if plugin is not None:
            plugins.register("of-the-test", plugin)
        values = {"load_models_at_startup": False, "parallel_workers": 0, **settings}
        server = MLServer(Settings(**values), plugins=plugins)
        servers.append(server)
        await server.startup(models)
        return server.engine

    yield start_server
    for server in servers:
        await server.stop()


@pytest.fixture
def scrape():
    """Reads the metrics of an engine that has no listener."""

    def read(engine):
        return Scraped(generate_latest(engine.metrics.registry).decode())

    return read


@pytest.fixture
def ask():
    """Sends one inference request with one tensor to an engine."""

    async def send(engine, name="m", version=None, *, data=(1.0,), id=None, headers=None):
        tensor = RequestInput(name="x", shape=[len(data)], datatype="FP64", data=list(data))
        context = RequestContext(headers=headers or {})
        return await engine.infer(name, version, InferenceRequest(id=id, inputs=[tensor]), context)

    return send
