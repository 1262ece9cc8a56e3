"""Registers the runtime by its dotted path; scikit-learn is imported when a model uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlserver_core import hookimpl

if TYPE_CHECKING:
    from mlserver_core.hooks.registry import Registry

RUNTIME = "mlserver_core_sklearn.runtime.SKLearnModel"


@hookimpl
def mlserver_register_runtimes(registry: Registry[str]) -> None:
    """``sklearn``, and the class path that MLServer's settings files name."""
    registry.add("sklearn", RUNTIME)
    registry.add("mlserver_sklearn.SKLearnModel", RUNTIME)
