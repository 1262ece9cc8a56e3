"""What plugins bring, as an engine needs it: in the server and in its workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from mlserver_core.codecs import Codecs
from mlserver_core.codecs.registration import find_marked
from mlserver_core.executors.interfaces import ExecutorFactory
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager, installed_plugins
from mlserver_core.hooks.registry import Registry
from mlserver_core.metrics.registry import Metrics
from mlserver_core.middlewares.interfaces import MiddlewareFactory


@attrs.frozen(kw_only=True)
class Parts:
    """What a server gives its engine: what plugins have registered, and the metrics.

    Attributes:
        runtimes: dotted paths of MLModel subclasses, by name.
        codecs: the content types.
        executors: where models may run, by name.
        middlewares: what stands around inference, outermost first.
        metrics: what the server counts; None when it counts nothing.
        workers: how many processes a model lives in that does not say it itself; 0 for this one.
            None in a worker, where every model lives in this one.
    """

    runtimes: Registry[str]
    codecs: Codecs
    executors: Registry[ExecutorFactory]
    middlewares: Sequence[MiddlewareFactory] = ()
    metrics: Metrics | None = None
    workers: int | None = None


def load_plugins(environ: Mapping[str, str]) -> PluginManager:
    """The built-in plugins and the installed ones.

    Raises:
        PluginError: names the plugin that cannot be used.
    """
    plugins = PluginManager()
    plugins.load([*BUILTIN_PLUGINS, *installed_plugins()], environ)
    return plugins


def collect_parts(plugins: PluginManager, runtimes: Registry[str], codecs: Codecs) -> None:
    """Asks the plugins for runtimes and codecs, and looks for codecs that they mark; raises
    PluginError.
    """
    plugins.collect("mlserver_register_runtimes", runtimes, registry=runtimes)
    plugins.collect(
        "mlserver_register_codecs",
        codecs.inputs,
        codecs.requests,
        input_codecs=codecs.inputs,
        request_codecs=codecs.requests,
    )
    for name, module in plugins.modules():
        codecs.add_marked(name, find_marked([module]))
