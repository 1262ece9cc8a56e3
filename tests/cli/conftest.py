"""Runs the command ``mlserver`` in processes of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import pytest

LONG = 120
PORTS = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")


@attrs.define
class Started:
    """A running ``mlserver start``; what it has printed so far is in ``lines``."""

    process: subprocess.Popen
    lines: list[str] = attrs.field(factory=list)

    def wait_for(self, text):
        """Reads lines of standard output until one matches; returns the match."""
        while line := self.process.stdout.readline():
            self.lines.append(line.rstrip("\n"))
            if found := re.search(text, line):
                return found
        raise AssertionError("\n".join([f"no line matches {text!r} in:", *self.lines]))

    def wait_started(self):
        """Returns the ports of REST and gRPC once the models are loaded."""
        rest = self.wait_for(r"REST server listening on http://127\.0\.0\.1:(\d+)$")
        grpc = self.wait_for(r"gRPC server listening on 127\.0\.0\.1:(\d+)$")
        self.wait_for("Started with")
        return int(rest[1]), int(grpc[1])

    def end(self, number=signal.SIGTERM):
        """Sends a signal; returns exit code, the whole standard output and standard error."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self):
        """Waits for the end; returns as ``end``."""
        out, err = self.process.communicate(timeout=LONG)
        out = "\n".join([*self.lines, out])
        return self.process.returncode, out, err


def environment(environ):
    clean = {name: value for name, value in os.environ.items() if "MLSERVER" not in name}
    return {**clean, "PYTHONUNBUFFERED": "1", **environ}


@pytest.fixture
def mlserver(tmp_path):
    """Runs ``mlserver`` to its end in the test's own folder."""

    def run(*arguments, **environ):
        return subprocess.run(
            [sys.executable, "-m", "mlserver_core.cli.main", *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=LONG,
            cwd=tmp_path,
            env=environment(environ),
        )

    return run


@pytest.fixture
def launch():
    """Starts servers by a command of the test's choice; they are gone when it ends."""
    started = []

    def run(command, folder, environ):
        process = subprocess.Popen(
            [*map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment(environ),
        )
        started.append(process)
        return Started(process)

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=LONG)


@pytest.fixture
def start(tmp_path, launch):
    """Starts ``mlserver start models`` on free ports in the test's own folder."""
    script = tmp_path / "bin" / "mlserver"
    script.parent.mkdir()
    # As pip writes it: unlike "python -m", it leaves the current folder off the path.
    script.write_text("from mlserver_core.cli.main import main\nmain()\n")

    def run(*arguments, ports=PORTS, **environ):
        command = [sys.executable, script, "start", "models", *ports, *arguments]
        return launch(command, tmp_path, environ)

    return run


@pytest.fixture
def write(tmp_path):
    """Writes a file of the test's own folder: text, or a dict as JSON."""

    def write_file(path, content=""):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content) if isinstance(content, dict) else textwrap.dedent(content)
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


@pytest.fixture
def model(write):
    """Writes a model folder, with ``models.py`` where there is code."""

    def make(name="m", code=None, **settings):
        implementation = "echo" if code is None else "models.Model"
        values = {"implementation": implementation, **settings}
        write(f"models/{name}/model-settings.json", values)
        if code is not None:
            write(f"models/{name}/models.py", code)

    return make


@pytest.fixture
def installed(write, tmp_path):
    """Installs a plugin for processes; returns their PYTHONPATH."""

    def make(name, code):
        write(f"site/plugin_of_test_{name}.py", code)
        info = f"site/dist_{name}-1.2.dist-info"
        write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.2\n")
        write(f"{info}/entry_points.txt", f"[mlserver_core]\n{name} = plugin_of_test_{name}\n")
        paths = [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]
        return os.pathsep.join(filter(None, paths))

    return make


@pytest.fixture
def certificate(tmp_path):
    """A key and a certificate for 127.0.0.1 that nobody else trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, file = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", file], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context, file


TOOL = """\
#!{python} -IS
import json, os, signal, sys

def texts():
    for word in sys.argv:
        if os.path.isabs(word) and os.path.isfile(word):
            with open(word, encoding="utf-8") as file:
                yield word, file.read()

def keep_input():
    if sys.argv[-1] == "-":
        with open({folder!r} + "/input.tar", "wb") as file:
            file.write(sys.stdin.buffer.read())

if sys.argv[1] == "version":
    {version}
    sys.exit()
with open({folder!r} + "/calls", "a") as file:
    call = {{"words": [os.path.basename(sys.argv[0]), *sys.argv[1:]], "read": dict(texts())}}
    file.write(json.dumps(call) + "\\n")
{build}
"""


@attrs.define
class Tools:
    """Doubles of docker, podman and buildah: the edge of what cannot be had everywhere.

    They note how they were called, and are all that there is on ``path``.
    """

    path: Path

    def add(self, name, build="keep_input()", version="print('27.1')"):
        """Installs one; what it does is Python code."""
        text = TOOL.format(
            python=sys.executable,
            folder=str(self.path.parent),
            version=version,
            build=textwrap.dedent(build),
        )
        self.add_file(name, text)

    def add_file(self, name, text):
        script = self.path / name
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)

    @property
    def calls(self):
        """What they were asked to build: the words, and the texts of files among those."""
        file = self.path.parent / "calls"
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def words(self):
        """The words of the only call."""
        (call,) = self.calls
        return call["words"]

    @property
    def input(self):
        """The archive that the last one got."""
        return self.path.parent / "input.tar"


@pytest.fixture
def tools(tmp_path):
    path = tmp_path / "tools" / "bin"
    path.mkdir(parents=True)
    return Tools(path)


#: Drops the capabilities by which root passes over the permissions of files (CAP_DAC_OVERRIDE and
#: CAP_DAC_READ_SEARCH), and bounds the size of files. Not by preexec_fn: tests have threads.
WITHOUT_PRIVILEGES = """
import ctypes, os, resource, sys

PR_CAPBSET_DROP = 24
for capability in (1, 2):
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.executable, [sys.executable, "-m", "mlserver_core.cli.main", *sys.argv[2:]])
"""


@pytest.fixture
def mlserver_without_privileges(tmp_path):
    """Runs ``mlserver`` to its end, with permissions of files that hold for root, too."""
    if sys.platform != "linux":
        pytest.skip("capabilities are Linux's")

    def run(*arguments, largest_file=0, **environ):
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_PRIVILEGES, str(largest_file), *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=LONG,
            cwd=tmp_path,
            env=environment(environ),
        )

    return run
