"""What a model repository is."""

from __future__ import annotations

from typing import Protocol

import attrs

from mlserver_core.settings import ModelSettings
from mlserver_core.settings.fields import is_name


def _to_name(value: str) -> str:
    return value if is_name(value) else "(unnamed)"


@attrs.frozen
class Unreadable:
    """A model whose settings cannot be used.

    Attributes:
        name: the model's name as far as it can be told, such as its folder's; "(unnamed)"
            where that is no name for a model.
        problems: what is wrong, one sentence each.
    """

    name: str = attrs.field(converter=_to_name)
    problems: tuple[str, ...]


@attrs.frozen
class Listing:
    """The models of a repository at one moment.

    Attributes:
        models: settings of each model, one entry per version.
        warnings: what the operator should know, one sentence each.
        unreadable: models that are there but whose settings cannot be used.
    """

    models: tuple[ModelSettings, ...]
    warnings: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    def of(self, name: str) -> Listing:
        """What it says of the model of that name."""
        return attrs.evolve(
            self,
            models=tuple(model for model in self.models if model.name == name),
            unreadable=tuple(each for each in self.unreadable if each.name == name),
        )


class Repository(Protocol):
    """A place that models are listed from."""

    async def list(self) -> Listing:
        """The models that are there now. Whatever it raises is logged, and at start ends the
        server.
        """

    async def find(self, name: str) -> Listing:
        """Every version of one model that is there now; an empty listing when there is none.

        Most repositories return ``(await self.list()).of(name)``.
        """


class RepositoryFactory(Protocol):
    """Makes the repository for a root."""

    def __call__(self, root: str, *, strict: bool) -> Repository:
        """Args: a path or URI; and whether an unknown key in settings is an error."""
