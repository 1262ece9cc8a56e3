"""A folder as the archive that a builder reads from its standard input."""

from __future__ import annotations

import errno
import tarfile
from pathlib import Path
from typing import IO

from mlserver_core.cli.images.ignored import is_ignored

#: Names within the archive: the Dockerfile, and beside it the folder.
DOCKERFILE, FOLDER = "Dockerfile", "folder"


def write_archive(folder: Path, dockerfile: Path, out: IO[bytes]) -> None:
    """Writes a Dockerfile, and a folder but for what no image needs. Links stay links.

    Raises:
        OSError: a file cannot be read, or has changed meanwhile.
    """
    # Docker takes what begins with an extended header, as in Python's own format, for a Dockerfile.
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        archive.add(dockerfile, DOCKERFILE)
        archive.add(folder, FOLDER, recursive=False)
        _add_files(archive, folder, FOLDER)


def _add_files(archive: tarfile.TarFile, folder: Path, above: str) -> None:
    # Not by tarfile's own recursion and filter: a file that is filtered out counts as written, so
    # that a second name of it (a hard link) would point to nothing.
    for file in sorted(folder.iterdir()):
        if is_ignored(file.name):
            continue
        name = f"{above}/{file.name}"
        try:
            archive.add(file, name, recursive=False)
        except OSError as error:
            if error.errno is None:  # there was less of it than it had said
                raise OSError(errno.EIO, "has changed while it was read", str(file)) from None
            raise
        if file.is_dir() and not file.is_symlink():
            _add_files(archive, file, name)
