"""mlserver-core: a plugin-based inference server for Python models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlserver_core import codecs, types
    from mlserver_core.custom_handlers import custom_handler
    from mlserver_core.hooks import hookimpl
    from mlserver_core.metrics.custom import log, register
    from mlserver_core.model import MLModel
    from mlserver_core.repositories.artifacts import find_artifact, get_model_uri
    from mlserver_core.server import MLServer
    from mlserver_core.settings import ModelSettings, Settings
    from mlserver_core.types.context import batch_requests, request_context

    __version__: str

#: Where each public name lives; it is imported when it is first asked for.
_HOMES = {
    "MLModel": "mlserver_core.model",
    "MLServer": "mlserver_core.server",
    "ModelSettings": "mlserver_core.settings",
    "Settings": "mlserver_core.settings",
    "batch_requests": "mlserver_core.types.context",
    "custom_handler": "mlserver_core.custom_handlers",
    "find_artifact": "mlserver_core.repositories.artifacts",
    "get_model_uri": "mlserver_core.repositories.artifacts",
    "hookimpl": "mlserver_core.hooks",
    "log": "mlserver_core.metrics.custom",
    "register": "mlserver_core.metrics.custom",
    "request_context": "mlserver_core.types.context",
}
_MODULES = ("codecs", "types")

__all__ = [
    "MLModel",
    "MLServer",
    "ModelSettings",
    "Settings",
    "__version__",
    "batch_requests",
    "codecs",
    "custom_handler",
    "find_artifact",
    "get_model_uri",
    "hookimpl",
    "log",
    "register",
    "request_context",
    "types",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mlserver-core")
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
