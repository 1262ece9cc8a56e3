"""The repository of models that a program gave to the server in code."""

from __future__ import annotations

import attrs

from mlserver_core.repositories.interfaces import Listing
from mlserver_core.settings import ModelSettings


@attrs.frozen
class GivenModels:
    """Lists what it was made with.

    Attributes:
        models: settings of each model.
    """

    models: tuple[ModelSettings, ...]

    async def list(self) -> Listing:
        """All of them."""
        return Listing(self.models)

    async def find(self, name: str) -> Listing:
        """The versions of one model."""
        return (await self.list()).of(name)
