"""MLServer's import path for model repositories: what a repository class of your own extends."""

from __future__ import annotations

import abc
import os
from pathlib import Path
from typing import Any

from mlserver_core.errors import ModelNotFound
from mlserver_core.logging import logger
from mlserver_core.repositories.folder import SETTINGS_FILE, FolderRepository

__all__ = ["DEFAULT_MODEL_SETTINGS_FILENAME", "ModelRepository", "SchemalessModelRepository"]

#: The name of the file that describes a model.
DEFAULT_MODEL_SETTINGS_FILENAME = SETTINGS_FILE


class ModelRepository(abc.ABC):
    """Where models come from. Name a subclass in ``model_repository_implementation``.

    Args:
        root: ``model_repository_root`` of the server's settings.
        options: ``model_repository_implementation_args`` of the server's settings.
    """

    def __init__(self, root: str | None = None, **options: Any) -> None:
        self._root = root
        self._options = options

    @abc.abstractmethod
    async def list(self) -> Any:
        """A list with the ModelSettings of every version of every model that is there."""

    @abc.abstractmethod
    async def find(self, name: str) -> Any:
        """A list with the ModelSettings of every version of one model.

        Raises:
            ModelNotFound: there is no such model.
        """


class SchemalessModelRepository(ModelRepository):
    """A folder with ``model-settings.json`` files at any depth, as the server reads it unless
    told otherwise. A subclass may override either method.
    """

    async def list(self) -> Any:
        """A list with the settings of every model; files that cannot be used are logged."""
        listing = await self._folder().list()
        for each in listing.unreadable:
            for problem in each.problems:
                logger.error("%s", problem)
        return [*listing.models]

    async def find(self, name: str) -> Any:
        """A list with the settings of every version of one model.

        Raises:
            ModelNotFound: there is no such model.
        """
        found = [model for model in await self.list() if model.name == name]
        if not found:
            raise ModelNotFound(name)
        return found

    def _folder(self) -> FolderRepository:
        return FolderRepository(
            root=Path(self._root or "."), environ=os.environ, dotenv=Path(".env")
        )
