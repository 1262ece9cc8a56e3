"""Serves scikit-learn models; ``SKLearnModel`` is imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlserver_core_sklearn.runtime import SKLearnModel

__all__ = ["SKLearnModel"]


def __getattr__(name: str) -> Any:
    if name == "SKLearnModel":
        from mlserver_core_sklearn.runtime import SKLearnModel

        return SKLearnModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
