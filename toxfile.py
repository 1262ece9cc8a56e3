"""Lets tox find the interpreters that pyenv keeps out of PATH."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tox.plugin import impl

if TYPE_CHECKING:
    from tox.config.cli.parser import ToxParser


@impl
def tox_add_option(parser: ToxParser) -> None:  # noqa: ARG001  # the first hook that tox calls
    """Puts the folders of pyenv's versions at the end of PATH."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = sorted(str(folder) for folder in root.glob("versions/*/bin"))
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), *folders])
