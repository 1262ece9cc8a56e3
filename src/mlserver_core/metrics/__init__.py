"""What the server counts, for Prometheus, and what the code of models adds to it."""

from mlserver_core.metrics.custom import log, register

__all__ = ["log", "register"]
