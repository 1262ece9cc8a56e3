"""A folder as the archive that a builder reads from its standard input."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import IO

from mlserver_core.cli.images.ignored import is_ignored

#: The Dockerfile within the archive; no file of a folder is likely to be called that.
DOCKERFILE = ".mlserver-build.Dockerfile"


def write_archive(folder: Path, dockerfile: Path, out: IO[bytes]) -> None:
    """Writes the folder, but for what no image needs, and the Dockerfile; raises OSError."""
    with tarfile.open(fileobj=out, mode="w|") as archive:
        archive.add(dockerfile, DOCKERFILE)
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name, filter=_keep)


def _keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if is_ignored(entry.name.rpartition("/")[2]) else entry
