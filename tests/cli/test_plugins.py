from __future__ import annotations

import json
from importlib import metadata

import pytest
from click.testing import CliRunner

from mlserver_core import hookimpl
from mlserver_core.cli.plugins import describe, plugins
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager


@pytest.fixture
def built_in():
    manager = PluginManager()
    manager.load(BUILTIN_PLUGINS, {})
    return manager


class Mine:
    @hookimpl
    def mlserver_register_runtimes(self, registry):
        registry.add("mine", "somewhere.Runtime")


def test_every_plugin_is_listed_with_what_it_brings(built_in):
    rows = {row["plugin"]: row for row in describe(built_in)}
    assert list(rows) == [candidate.name for candidate in BUILTIN_PLUGINS]
    assert rows["runtimes"] == {
        "plugin": "runtimes",
        "distribution": "mlserver-core",
        "version": metadata.version("mlserver-core"),
        "hooks": ["mlserver_register_runtimes"],
        "runtimes": ["echo"],
        "codecs": [],
    }
    assert rows["codecs"]["codecs"] == ["base64", "datetime", "json", "np", "pd", "pd_json", "str"]
    assert rows["rest"]["hooks"] == ["mlserver_register_transports"]


def test_json_and_text_say_the_same(built_in):
    as_json = CliRunner().invoke(plugins, ["--json"], obj=built_in)
    as_text = CliRunner().invoke(plugins, [], obj=built_in)
    assert (as_json.exit_code, as_text.exit_code) == (0, 0)
    rows = json.loads(as_json.output)
    assert rows == describe(built_in)
    for row in rows:
        assert f"{row['plugin']}: mlserver-core {row['version']}\n" in as_text.output
    assert "  runtimes: echo\n" in as_text.output
    assert "  codecs: base64, datetime, json, np, pd, pd_json, str\n" in as_text.output


def test_two_plugins_with_one_runtime_are_both_named(built_in):
    built_in.register("first", Mine())
    built_in.register("second", Mine())
    refused = CliRunner().invoke(plugins, ["--json"], obj=built_in)
    assert refused.exit_code == 1
    assert "plugin 'second': registers the runtime 'mine', which plugin 'first'" in refused.output


def test_a_plugin_object_of_no_distribution_is_listed_too(built_in):
    built_in.register("mine", Mine())
    rows = {row["plugin"]: row for row in describe(built_in)}
    assert rows["mine"]["runtimes"] == ["mine"]


def test_an_installed_plugin_is_listed_with_its_distribution(mlserver, installed):
    code = """
        from mlserver_core import hookimpl

        @hookimpl
        def mlserver_register_runtimes(registry):
            registry.add("mine", "somewhere.Runtime")
    """
    path = installed("mine", code)
    listed = mlserver("plugins", "--json", PYTHONPATH=path)
    assert listed.returncode == 0, listed.stderr
    assert {
        "plugin": "mine",
        "distribution": "dist-mine",
        "version": "1.2",
        "hooks": ["mlserver_register_runtimes"],
        "runtimes": ["mine"],
        "codecs": [],
    } in json.loads(listed.stdout)
    assert "mine: dist-mine 1.2\n" in mlserver("plugins", PYTHONPATH=path).stdout
    blocked = mlserver("plugins", PYTHONPATH=path, MLSERVER_BLOCK_PLUGINS="mine")
    assert "dist-mine" not in blocked.stdout


def test_tracing_shows_the_hook_calls(mlserver, installed):
    traced = mlserver("plugins", MLSERVER_TRACE_PLUGINS="1")
    assert traced.returncode == 0
    assert "hook mlserver_register_runtimes(registry) -> runtimes" in traced.stdout + traced.stderr
