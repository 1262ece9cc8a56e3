"""A folder as the archive that a builder reads from its standard input."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import IO

from mlserver_core.cli.images.ignored import is_ignored

#: Names within the archive: the Dockerfile, and beside it the folder.
DOCKERFILE, FOLDER = "Dockerfile", "folder"


def write_archive(folder: Path, dockerfile: Path, out: IO[bytes]) -> None:
    """Writes a Dockerfile, and a folder but for what no image needs; raises OSError."""
    # Docker takes what begins with an extended header, as in Python's own format, for a Dockerfile.
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        archive.add(dockerfile, DOCKERFILE)
        archive.add(folder, FOLDER, filter=_keep)


def _keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if is_ignored(entry.name.rpartition("/")[2]) else entry
