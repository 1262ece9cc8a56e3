from __future__ import annotations

import logging
import sys

import pytest

from mlserver_core import hookimpl
from mlserver_core.errors import PluginError
from mlserver_core.hooks.manager import Candidate, PluginManager, installed_plugins
from mlserver_core.hooks.registry import Registry

GOOD = """
    from mlserver_core import hookimpl

    @hookimpl
    def mlserver_register_runtimes(registry):
        registry.add("mine", "somewhere.Runtime")
"""


@pytest.fixture
def manager():
    return PluginManager()


def ours(names):
    """The installed plugins of this test; others may be installed for real."""
    return [each for each in installed_plugins() if each.name in names]


def load(manager, *names, **environ):
    manager.load(ours(names), environ)


def runtimes(manager):
    registry = Registry("runtime")
    manager.collect("mlserver_register_runtimes", registry, registry=registry)
    return registry


class Plugin:
    """A plugin object that registers the runtime of its name."""

    def __init__(self, name, action=None):
        self.name = name
        self.action = action

    @hookimpl
    def mlserver_register_runtimes(self, registry):
        registry.add(self.name, "path") if self.action is None else self.action(registry)


def test_an_installed_plugin_is_found_by_its_entry_point(manager, install):
    install("mine", GOOD, version="2.3")
    load(manager, "mine")
    [plugin] = manager.plugins
    assert (plugin.name, plugin.distribution, plugin.version) == ("mine", "dist-mine", "2.3")
    assert manager.hooks_of("mine") == ["mlserver_register_runtimes"]
    assert runtimes(manager).owner("mine") == "mine"


def test_entry_points_of_other_groups_are_no_plugins(install):
    install("other", GOOD, group="another_group")
    assert ours(["other"]) == []


def test_a_folder_listed_twice_on_the_path_brings_a_plugin_once(install, monkeypatch):
    site = install("mine", GOOD)
    monkeypatch.syspath_prepend(site)
    sys.path.append(str(site))
    assert len(ours(["mine"])) == 1


def test_two_plugins_of_one_name_are_refused_with_both_origins(manager, install):
    install("mine", GOOD, distribution="first", module="plugin_of_test_one")
    install("mine", GOOD, distribution="second", module="plugin_of_test_two", version="2")
    with pytest.raises(PluginError) as refused:
        load(manager, "mine")
    text = str(refused.value)
    assert text.startswith("plugin 'mine': the name is used by ")
    assert "plugin_of_test_one of first 1.0" in text
    assert "plugin_of_test_two of second 2" in text
    assert "uninstall one of them" in text


def test_two_plugins_that_register_one_name_are_both_named(manager):
    for name in ("first", "second"):
        manager.register(name, Plugin("sklearn"))
    with pytest.raises(PluginError) as refused:
        runtimes(manager)
    assert "plugin 'second': registers the runtime 'sklearn'" in str(refused.value)
    assert "plugin 'first' has registered" in str(refused.value)


def test_a_misspelt_hook_is_refused_with_the_right_name(manager, install):
    install("mine", GOOD.replace("register_runtimes", "register_runtime"))
    with pytest.raises(PluginError) as refused:
        load(manager, "mine")
    assert str(refused.value) == (
        "plugin 'mine': there is no hook mlserver_register_runtime; "
        "did you mean mlserver_register_runtimes?"
    )
    assert manager.plugins == []


def test_a_hook_like_no_other_is_refused_without_a_guess(manager, install):
    install("mine", GOOD.replace("mlserver_register_runtimes", "zzz"))
    with pytest.raises(PluginError) as refused:
        load(manager, "mine")
    assert str(refused.value) == "plugin 'mine': there is no hook zzz"


def test_an_argument_that_the_hook_does_not_have_is_refused_by_name(manager, install):
    install("mine", GOOD.replace("(registry)", "(registri)"))
    with pytest.raises(PluginError) as refused:
        load(manager, "mine")
    text = str(refused.value)
    assert text.startswith("plugin 'mine': ")
    assert "registri" in text
    assert "mlserver_register_runtimes" in text
    assert "\n" not in text


def test_an_implementation_may_leave_out_arguments(manager):
    class Silent:
        @hookimpl
        def mlserver_register_runtimes(self):
            pass

    manager.register("silent", Silent())
    assert list(runtimes(manager)) == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import nowhere_of_test", "ModuleNotFoundError: No module named 'nowhere_of_test'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("no python", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_its_cure(manager, install, code, text):
    install("mine", code)
    with pytest.raises(PluginError) as refused:
        load(manager, "mine")
    message = str(refused.value)
    assert message.startswith(
        "plugin 'mine': plugin_of_test_mine of dist-mine 1.0 cannot be imported: "
    )
    assert text in message
    assert message.endswith("or set MLSERVER_BLOCK_PLUGINS=mine")


def test_an_entry_point_to_a_module_that_is_gone_is_named(manager):
    gone = Candidate(name="mine", module="nowhere_of_test", distribution="dist", version="1")
    with pytest.raises(PluginError, match="nowhere_of_test of dist 1 cannot be imported"):
        manager.load([gone], {})


def test_a_module_without_hooks_is_no_plugin(manager, install):
    install("mine", "def mlserver_register_runtimes(registry): ...")
    with pytest.raises(PluginError) as refused:
        load(manager, "mine")
    text = str(refused.value)
    assert text.startswith("plugin 'mine': ")
    assert "plugin_of_test_mine" in text
    assert "has no function marked with @mlserver_core.hookimpl" in text


def test_a_blocked_plugin_is_not_imported(manager, install, caplog):
    caplog.set_level(logging.INFO, "mlserver")
    install("mine", "raise AssertionError")
    install("other", GOOD)
    load(manager, "mine", "other", MLSERVER_BLOCK_PLUGINS=" mine , ")
    assert [plugin.name for plugin in manager.plugins] == ["other"]
    assert "plugin_of_test_mine" not in sys.modules
    assert "Plugin 'mine' is blocked by MLSERVER_BLOCK_PLUGINS" in caplog.messages


def test_blocking_both_plugins_of_one_name_settles_the_quarrel(manager, install):
    install("mine", GOOD, distribution="first", module="plugin_of_test_one")
    install("mine", GOOD, distribution="second", module="plugin_of_test_two")
    load(manager, "mine", MLSERVER_BLOCK_PLUGINS="mine")
    assert manager.plugins == []


def test_blocking_a_plugin_that_is_not_there_warns(manager, install, caplog):
    install("mine", GOOD)
    load(manager, "mine", MLSERVER_BLOCK_PLUGINS="mien,mine")
    assert caplog.messages == [
        "MLSERVER_BLOCK_PLUGINS names 'mien', but no such plugin is installed"
    ]


@pytest.mark.parametrize("value", ["1", "true"])
def test_tracing_logs_each_hook_call_with_its_plugins(manager, install, caplog, value):
    caplog.set_level(logging.INFO, "mlserver")
    install("mine", GOOD)
    load(manager, "mine", MLSERVER_TRACE_PLUGINS=value)
    runtimes(manager)
    assert caplog.messages == ["hook mlserver_register_runtimes(registry) -> mine"]


def test_tracing_logs_what_a_hook_raised(manager, install, caplog):
    caplog.set_level(logging.INFO, "mlserver")
    install("mine", GOOD + "        raise ValueError('no')\n")
    load(manager, "mine", MLSERVER_TRACE_PLUGINS="1")
    with pytest.raises(PluginError):
        runtimes(manager)
    assert "hook mlserver_register_runtimes raised ValueError('no')" in caplog.messages


@pytest.mark.parametrize("environ", [{}, {"MLSERVER_TRACE_PLUGINS": "0"}])
def test_without_tracing_nothing_is_logged(manager, install, caplog, environ):
    caplog.set_level(logging.INFO, "mlserver")
    install("mine", GOOD)
    load(manager, "mine", **environ)
    runtimes(manager)
    assert caplog.messages == []


def test_a_hook_that_fails_names_plugin_and_hook(manager):
    cause = ValueError("no licence")

    def fail(registry):
        raise cause

    manager.register("mine", Plugin("mine", fail))
    with pytest.raises(PluginError) as refused:
        runtimes(manager)
    assert str(refused.value) == (
        "plugin 'mine': hook mlserver_register_runtimes failed: ValueError: no licence"
    )
    assert refused.value.__cause__ is cause


def test_an_event_hook_that_fails_is_logged_and_the_next_plugin_is_told(manager, caplog):
    told = []

    class Listener:
        def __init__(self, name, *, fails=False):
            self.name, self.fails = name, fails

        @hookimpl
        def mlserver_server_started(self, server):
            told.append((self.name, server))
            if self.fails:
                raise ValueError("no")

    manager.register("first", Listener("first", fails=True))
    manager.register("second", Listener("second"))
    manager.notify("mlserver_server_started", server="the server")
    assert told == [("first", "the server"), ("second", "the server")]
    assert caplog.messages == ["Plugin 'first' failed in hook mlserver_server_started"]


def test_plugins_are_asked_in_the_order_they_were_loaded(manager):
    for name in ("c", "a", "b"):
        manager.register(name, Plugin(name))
    assert list(runtimes(manager)) == ["c", "a", "b"]


def test_a_plugin_may_ask_to_be_first_or_last(manager):
    class Last:
        @hookimpl(trylast=True)
        def mlserver_register_runtimes(self, registry):
            registry.add("last", "path")

    class First:
        @hookimpl(tryfirst=True)
        def mlserver_register_runtimes(self, registry):
            registry.add("first", "path")

    manager.register("last", Last())
    manager.register("middle", Plugin("middle"))
    manager.register("first", First())
    assert list(runtimes(manager)) == ["first", "middle", "last"]


def test_registering_one_object_under_two_names_is_refused_and_the_first_stays(manager):
    plugin = Plugin("mine")
    manager.register("first", plugin)
    with pytest.raises(PluginError, match="'second'"):
        manager.register("second", plugin)
    assert manager.hooks_of("first") == ["mlserver_register_runtimes"]
    assert list(runtimes(manager)) == ["mine"]


def test_a_refused_plugin_leaves_the_others_usable(manager):
    class Bad:
        @hookimpl
        def mlserver_register_runtime(self, registry): ...

    manager.register("good", Plugin("mine"))
    with pytest.raises(PluginError):
        manager.register("bad", Bad())
    manager.register("more", Plugin("more"))
    assert list(runtimes(manager)) == ["mine", "more"]
    assert [plugin.name for plugin in manager.plugins] == ["good", "more"]


def test_two_managers_share_nothing():
    first, second = PluginManager(), PluginManager()
    first.register("mine", Plugin("mine"))
    assert list(runtimes(second)) == []
    assert second.plugins == []


def test_monitoring_sees_every_hook_call_until_it_is_undone(manager):
    calls = []
    undo = manager.monitor(
        lambda hook, *_: calls.append(f"before {hook}"),
        lambda outcome, hook, *_: calls.append(f"after {hook}"),
    )
    manager.register("mine", Plugin("mine"))
    runtimes(manager)
    assert calls == ["before mlserver_register_runtimes", "after mlserver_register_runtimes"]
    undo()
    runtimes(manager)
    assert len(calls) == 2


def test_the_hooks_are_those_of_the_specification(manager):
    assert manager.hooks() == PluginManager.hooks()
    assert "mlserver_register_runtimes" in manager.hooks()
