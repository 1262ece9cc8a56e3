"""A folder as the archive that a builder reads from its standard input."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import IO

from mlserver_core.cli.images.ignored import IGNORE_FILE, is_ignored

#: The Dockerfile within the archive; no file of a folder is likely to be called that.
DOCKERFILE = ".mlserver-build.Dockerfile"


def write_archive(folder: Path, dockerfile: Path, out: IO[bytes]) -> None:
    """Writes the folder, but for what no image needs, and the Dockerfile; raises OSError."""
    # Docker takes what begins with an extended header, as in Python's own format, for a Dockerfile.
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        archive.add(dockerfile, DOCKERFILE)
        _add_text(archive, IGNORE_FILE, f"{DOCKERFILE}\n{IGNORE_FILE}\n")
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name, filter=_keep)


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    archive.addfile(entry, io.BytesIO(text.encode()))


def _keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if is_ignored(entry.name.rpartition("/")[2]) else entry
