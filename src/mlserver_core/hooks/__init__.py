"""The plugin interface: what plugins may implement and how they are found."""

from mlserver_core.hooks.markers import hookimpl

__all__ = ["hookimpl"]
