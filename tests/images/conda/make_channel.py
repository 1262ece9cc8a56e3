"""Makes a conda channel in a folder: this machine's own CPython, and a package of one module.

    python make_channel.py FOLDER

It needs py-rattler and patchelf. Solver and installer are conda's successors, and the packages are
real ones; what it stands for is a channel that can be had without the internet.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from rattler.index import index_fs

VERSION = "{}.{}.{}".format(*sys.version_info)
SHORT = "{}.{}".format(*sys.version_info)
#: Parts of a Python that no test needs.
_LEFT_OUT = ("site-packages/", "__pycache__", "/test/", "idlelib", "tkinter", "ensurepip/_bundled")
_LEFT_OUT_TOPS = ("share", "include")


def write_package(file: Path, index: dict[str, Any], files: dict[str, Path | bytes]) -> None:
    """Writes a package in conda's first format.

    Args:
        file: its path.
        index: what conda is to know of it.
        files: contents, or files with them, by path.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    with tarfile.open(file, "w:bz2", compresslevel=1) as archive:
        for name, source in sorted(files.items()):
            if isinstance(source, Path) and source.is_symlink():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, str(source.readlink())
                archive.addfile(link)
                paths.append({"_path": name, "path_type": "softlink"})
                continue
            content = source if isinstance(source, bytes) else source.read_bytes()
            runs = isinstance(source, Path) and os.access(source, os.X_OK)
            _add(archive, name, content, 0o755 if runs else 0o644)
            digest = hashlib.sha256(content).hexdigest()
            paths.append(
                {
                    "_path": name,
                    "path_type": "hardlink",
                    "sha256": digest,
                    "size_in_bytes": len(content),
                }
            )
        facts = {
            "index.json": index,
            "paths.json": {"paths": paths, "paths_version": 1},
            "about.json": {},
        }
        if "noarch" in index:
            facts["link.json"] = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        for name, fact in facts.items():
            _add(archive, f"info/{name}", json.dumps(fact).encode(), 0o644)
        _add(archive, "info/files", "".join(f"{name}\n" for name in sorted(files)).encode(), 0o644)


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def python_files(folder: Path) -> dict[str, Path | bytes]:
    """The files of the Python that runs this, with an interpreter that can be moved.

    Args:
        folder: for what has to be changed.
    """
    base = Path(sys.base_prefix)
    files: dict[str, Path | bytes] = {}
    for path in base.rglob("*"):
        name = path.relative_to(base).as_posix()
        top = name.partition("/")[0]
        if top in _LEFT_OUT_TOPS or any(part in f"/{name}" for part in _LEFT_OUT):
            continue
        if name.endswith(".a") or (top == "bin" and name != f"bin/python{SHORT}"):
            continue
        if path.is_symlink() or path.is_file():
            files[name] = path
    interpreter = folder / "python"
    shutil.copy2(base / "bin" / f"python{SHORT}", interpreter)
    patchelf = Path(sys.executable).parent / "patchelf"  # its library is where the build put it
    subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", interpreter], check=True)
    files[f"bin/python{SHORT}"] = interpreter
    for name in ("python", "python3"):
        link = folder / f"link-{name}"
        link.symlink_to(f"python{SHORT}")
        files[f"bin/{name}"] = link
    return files


def make_channel(channel: Path) -> None:
    """Writes both packages and the channel's index."""
    python = {
        "name": "python",
        "version": VERSION,
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
        "arch": "x86_64",
        "platform": "linux",
    }
    toy = {
        "name": "toydependency",
        "version": "1.2.0",
        "build": "py_0",
        "build_number": 0,
        "depends": ["python"],
        "subdir": "noarch",
        "noarch": "python",
    }
    with tempfile.TemporaryDirectory() as folder:
        files = python_files(Path(folder))
        write_package(channel / "linux-64" / f"python-{VERSION}-0.tar.bz2", python, files)
    module: dict[str, Path | bytes] = {"site-packages/toydependency.py": b"VERSION = '1.2.0'\n"}
    write_package(channel / "noarch" / "toydependency-1.2.0-py_0.tar.bz2", toy, module)
    asyncio.run(index_fs(channel))


if __name__ == "__main__":
    make_channel(Path(sys.argv[1]))
