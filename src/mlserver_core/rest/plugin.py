"""Registers the REST transport."""

from __future__ import annotations

from typing import Any

from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry


@hookimpl
def mlserver_register_transports(registry: Registry[Any]) -> None:
    """The REST transport."""
    registry.add("rest", _make)


def _make(settings: Any, engine: Any) -> Any:
    from mlserver_core.rest.transport import RestTransport

    return RestTransport(settings, engine)
