"""What the server logs, and how."""

from __future__ import annotations

import logging

__all__ = ["logger"]

#: The logger of the server, and of runtimes that import it by MLServer's path.
logger = logging.getLogger("mlserver")
