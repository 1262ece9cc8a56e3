"""The folder of a new plugin, which is there whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Makes ``folder`` with these files; an empty folder may be there.

    They are written to a folder beside it, which is then renamed, so that nothing is left of
    what fails.

    Args:
        folder: where to.
        files: the text of each, by its path in ``folder``.

    Raises:
        FileExistsError: something is there.
        OSError: it cannot be written.
    """
    if folder.is_symlink() or folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already")
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        made = Path(beside, folder.name)  # below it, since the temporary one is the user's alone
        for path, text in files.items():
            file = made / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        made.rename(folder)
