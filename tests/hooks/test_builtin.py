from __future__ import annotations

import subprocess
import sys

from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager


def test_every_built_in_plugin_loads_and_has_hooks():
    manager = PluginManager()
    manager.load(BUILTIN_PLUGINS, {})
    assert [plugin.name for plugin in manager.plugins] == [each.name for each in BUILTIN_PLUGINS]
    for plugin in manager.plugins:
        assert manager.hooks_of(plugin.name)
        assert plugin.distribution == "mlserver-core"


def test_every_built_in_plugin_can_be_blocked():
    for candidate in BUILTIN_PLUGINS:
        manager = PluginManager()
        manager.load(BUILTIN_PLUGINS, {"MLSERVER_BLOCK_PLUGINS": candidate.name})
        assert candidate not in manager.plugins
        assert len(manager.plugins) == len(BUILTIN_PLUGINS) - 1


def test_naming_the_built_in_plugins_imports_none_of_them():
    code = (
        "import sys\n"
        "from mlserver_core.hooks.builtin import BUILTIN_PLUGINS\n"
        "print([each.module for each in BUILTIN_PLUGINS if each.module in sys.modules])\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert printed == "[]\n"
