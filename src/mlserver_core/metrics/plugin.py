"""Registers the listener that Prometheus asks."""

from __future__ import annotations

from typing import Any

from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry


@hookimpl
def mlserver_register_transports(registry: Registry[Any]) -> None:
    """The listener of the metrics, unless they are switched off."""
    registry.add("metrics", _make)


def _make(settings: Any, engine: Any) -> Any:
    if engine.metrics is None:
        return None
    from mlserver_core.metrics.transport import MetricsTransport

    return MetricsTransport(settings, engine.metrics.registry)
