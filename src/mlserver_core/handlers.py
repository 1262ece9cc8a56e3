"""MLServer's import path for ``custom_handler``."""

from __future__ import annotations

from mlserver_core.custom_handlers import custom_handler

__all__ = ["custom_handler"]
