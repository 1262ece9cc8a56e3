"""A folder as the archive that a builder reads from its standard input."""

from __future__ import annotations

import errno
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from mlserver_core.cli.images.ignored import is_ignored


def write_archive(folder: Path, ours: Mapping[str, Path], out: IO[bytes]) -> None:
    """Writes an archive of a folder, but for what no image needs. Links stay links.

    Args:
        folder: of the models.
        ours: files that the archive has besides, by the names that they have in it.
        out: where to.

    Raises:
        OSError: a file cannot be read, or has changed meanwhile.
    """
    with tarfile.open(fileobj=out, mode="w|") as archive:
        for name, file in ours.items():
            archive.add(file, name)
        _add_folder(archive, folder, "")


def _add_folder(archive: tarfile.TarFile, folder: Path, above: str) -> None:
    # Not by tarfile's own recursion and filter: a file that is filtered out counts as written, so
    # that a second name of it (a hard link) would point to nothing.
    for file in sorted(folder.iterdir()):
        if is_ignored(file.name):
            continue
        name = above + file.name
        try:
            archive.add(file, name, recursive=False)
        except OSError as error:
            if error.errno is None:  # there was less of it than it had said
                raise OSError(errno.EIO, "has changed while it was read", str(file)) from None
            raise
        if file.is_dir() and not file.is_symlink():
            _add_folder(archive, file, f"{name}/")
