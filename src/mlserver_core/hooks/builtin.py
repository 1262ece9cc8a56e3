"""The plugins that come with the package, by dotted path: none is imported by naming it."""

from __future__ import annotations

from mlserver_core.hooks.manager import Candidate

_MODULES = {
    "codecs": "mlserver_core.codecs.plugin",
    "runtimes": "mlserver_core.runtimes.plugin",
    "executors": "mlserver_core.executors.plugin",
    "repositories": "mlserver_core.repositories.plugin",
    "cloudevents": "mlserver_core.middlewares.cloudevents",
    "cache": "mlserver_core.middlewares.cache",
    "logging": "mlserver_core.logging.plugin",
    "rest": "mlserver_core.rest.plugin",
    "grpc": "mlserver_core.grpc.plugin",
    "metrics": "mlserver_core.metrics.plugin",
    "commands": "mlserver_core.cli.plugin",
}

#: In the order they are asked.
BUILTIN_PLUGINS = tuple(
    Candidate(name=name, module=module, distribution="mlserver-core", version="")
    for name, module in _MODULES.items()
)
