"""What a model repository is."""

from __future__ import annotations

from typing import Protocol

import attrs

from mlserver_core.settings import ModelSettings


@attrs.frozen
class Listing:
    """The models of a repository at one moment.

    Attributes:
        models: settings of each model, one entry per version.
        warnings: what the operator should know, one sentence each.
    """

    models: tuple[ModelSettings, ...]
    warnings: tuple[str, ...] = ()


class Repository(Protocol):
    """A place that models are listed from."""

    def list(self) -> Listing:
        """The models that are there now.

        Raises:
            SettingsError: settings of some model cannot be used; lists every problem.
        """


class RepositoryFactory(Protocol):
    """Makes the repository for a root."""

    def __call__(self, root: str, *, strict: bool) -> Repository:
        """Args: a path or URI; and whether an unknown key in settings is an error."""
