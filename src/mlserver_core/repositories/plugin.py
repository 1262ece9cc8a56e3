"""Registers the built-in repository."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry
from mlserver_core.repositories.folder import FolderRepository
from mlserver_core.repositories.interfaces import RepositoryFactory


@hookimpl
def mlserver_register_repositories(registry: Registry[RepositoryFactory]) -> None:
    """A folder, for roots that are paths or ``file://`` URIs."""
    registry.add("file", _make)


def _make(root: str, *, strict: bool) -> FolderRepository:
    return FolderRepository(
        root=Path(unquote(urlparse(root).path) if root.startswith("file://") else root),
        environ=os.environ,
        dotenv=Path(".env"),
        strict=strict,
    )
