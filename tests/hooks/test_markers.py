from __future__ import annotations

import mlserver_core
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.hooks.markers import GROUP, hookimpl


def test_the_entry_point_group_is_the_name_of_the_package():
    assert GROUP == mlserver_core.__name__


def test_hookimpl_is_public_and_leaves_the_function_a_plain_one():
    assert mlserver_core.hookimpl is hookimpl

    @hookimpl
    def mlserver_register_runtimes(registry):
        return registry

    assert mlserver_register_runtimes(3) == 3


def test_only_marked_functions_are_hooks():
    class Plugin:
        def mlserver_server_started(self, server):
            raise AssertionError

        @hookimpl
        def mlserver_server_stopping(self, server):
            pass

    manager = PluginManager()
    manager.register("p", Plugin())
    assert manager.hooks_of("p") == ["mlserver_server_stopping"]
