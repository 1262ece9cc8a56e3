"""Registers the built-in runtimes."""

from __future__ import annotations

from mlserver_core.hooks import hookimpl
from mlserver_core.hooks.registry import Registry


@hookimpl
def mlserver_register_runtimes(registry: Registry[str]) -> None:
    """The echo runtime."""
    registry.add("echo", "mlserver_core.runtimes.echo.EchoRuntime")
