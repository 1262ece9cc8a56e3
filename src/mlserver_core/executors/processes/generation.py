"""One load of one model."""

from __future__ import annotations

import attrs

from mlserver_core.executors.interfaces import ModelSource


@attrs.frozen(kw_only=True, eq=False)
class Generation:
    """One load of one model.

    Attributes:
        number: names it in frames.
        source: what is loaded.
    """

    number: int
    source: ModelSource

    @property
    def name(self) -> str:
        """The model's name."""
        return self.source.settings.name
