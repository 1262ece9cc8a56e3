"""What has the name of a new plugin already."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import PathFinder

from mlserver_core.cli.new_plugin.names import PluginNames
from mlserver_core.codecs import Codecs
from mlserver_core.engine.parts import collect_parts
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.hooks.registry import Registry


def check_free(names: PluginNames, plugins: PluginManager) -> None:
    """Is everything that the new plugin brings still without an owner?

    Raises:
        ValueError: says what has the name.
        PluginError: an installed plugin cannot be used.
    """
    owner = next(_find_owners(names, plugins), None)
    if owner is not None:
        raise ValueError(f"{names.given!r} cannot be the name: {owner}")


def _find_owners(names: PluginNames, plugins: PluginManager) -> Iterator[str]:
    yield from _find_plugins(names.name, plugins)
    if _is_installed(names.distribution):
        yield f"the distribution {names.distribution} is installed"
    if _is_package(names.package):
        yield f"a package {names.package} is installed"
    # Below, nothing breaks, but who reads that name takes it for the other thing.
    spelled = names.given.lower().replace("-", "_")
    meant = f"; if the plugin is about it, write {names.distribution}"
    if keyword.iskeyword(names.given) or keyword.iskeyword(spelled):
        yield f"{spelled} is a reserved word of Python"
    if spelled in sys.stdlib_module_names:
        yield f"{spelled} is a module of Python's standard library{meant}"
    if _is_package(spelled):
        yield f"a package {spelled} is installed{meant}"


def _find_plugins(name: str, plugins: PluginManager) -> Iterator[str]:
    if any(plugin.name == name for plugin in plugins.plugins):
        yield f"there is a plugin {name!r} already"
    runtimes: Registry[str] = Registry("runtime")
    codecs = Codecs()
    collect_parts(plugins, runtimes, codecs)
    for kind, registry in (
        ("runtime", runtimes),
        ("content type", codecs.inputs),
        ("content type", codecs.requests),
    ):
        if name in registry:
            yield f"the plugin {registry.owner(name)!r} brings the {kind} {name!r}"


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _is_package(name: str) -> bool:
    """Can it be imported? A folder without an ``__init__.py`` that happens to be there is none."""
    found = PathFinder.find_spec(name)
    return found is not None and found.origin is not None
