"""Turns the proto files beside this one into ``src/mlserver_core/grpc/_generated``.

Run it with ``tox -e protos``; a test holds that what is committed is what it writes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROTOS = Path(__file__).parent
GENERATED = PROTOS.parent / "src" / "mlserver_core" / "grpc" / "_generated"


def generate(target: Path) -> None:
    """Writes ``dataplane.py`` (betterproto) and ``descriptors.binpb`` (all files) to a folder."""
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(path.name for path in PROTOS.glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        _protoc(f"--python_betterproto_out={folder}", "dataplane.proto")
        shutil.copy(Path(folder, "inference", "__init__.py"), target / "dataplane.py")
    _protoc(f"--descriptor_set_out={target / 'descriptors.binpb'}", *files)


def _protoc(*arguments: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *arguments]
    # The plugin for betterproto is a script beside the interpreter, which PATH may not have.
    search = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
    subprocess.run(command, check=True, env=search, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    generate(GENERATED)
