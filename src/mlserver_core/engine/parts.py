"""What plugins bring, as an engine needs it: in the server and in its workers."""

from __future__ import annotations

from collections.abc import Mapping

from mlserver_core.codecs import Codecs
from mlserver_core.codecs.registration import find_marked
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager, installed_plugins
from mlserver_core.hooks.registry import Registry


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
