from __future__ import annotations

import pytest

from mlserver_core import hookimpl
from mlserver_core.cli.new_plugin.collisions import check_free
from mlserver_core.cli.new_plugin.names import PluginNames
from mlserver_core.codecs import InputCodec
from mlserver_core.hooks.builtin import BUILTIN_PLUGINS
from mlserver_core.hooks.manager import PluginManager


class Installed:
    @hookimpl
    def mlserver_register_runtimes(self, registry):
        registry.add("fraud-score", "somewhere.Runtime")

    @hookimpl
    def mlserver_register_codecs(self, request_codecs):
        request_codecs.add("table", InputCodec)


@pytest.fixture
def plugins():
    manager = PluginManager()
    manager.load(BUILTIN_PLUGINS, {})
    manager.register("installed", Installed())
    return manager


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        ("echo", "the plugin 'runtimes' brings the runtime 'echo'"),
        ("FraudScore", "the plugin 'installed' brings the runtime 'fraud-score'"),
        ("np", "the plugin 'codecs' brings the content type 'np'"),
        ("table", "the plugin 'installed' brings the content type 'table'"),
        ("cache", "there is a plugin 'cache' already"),
        ("mlserver-cache", "there is a plugin 'cache' already"),
        ("class", "class is a reserved word of Python"),
        ("None", "none is a reserved word of Python"),
        ("statistics", "statistics is a module of Python's standard library; if the plugin is "),
        ("numpy", "a package numpy is installed; if the plugin is about it, write mlserver-core-n"),
    ],
)
def test_a_name_that_something_has_is_refused_and_says_what(plugins, given, owner):
    with pytest.raises(ValueError) as refused:
        check_free(PluginNames.derive(given), plugins)
    assert str(refused.value).startswith(f"{given!r} cannot be the name: {owner}")


@pytest.mark.parametrize("given", ["price", "mlserver-core-numpy", "mlserver_class", "match"])
def test_a_name_that_nothing_has_is_free(plugins, given):
    check_free(PluginNames.derive(given), plugins)


def test_an_installed_distribution_and_package_are_not_made_again(plugins, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    names = PluginNames.derive("price")
    package = tmp_path / names.package
    package.mkdir()
    check_free(names, plugins)  # an empty folder is no package
    (package / "__init__.py").touch()
    with pytest.raises(ValueError, match="a package mlserver_core_price is installed"):
        check_free(names, plugins)
    info = tmp_path / "mlserver_core_price-1.dist-info" / "METADATA"
    info.parent.mkdir()
    info.write_text("Metadata-Version: 2.1\nName: mlserver-core-price\nVersion: 1\n")
    with pytest.raises(ValueError, match="the distribution mlserver-core-price is installed"):
        check_free(names, plugins)
