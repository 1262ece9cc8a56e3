"""``mlserver plugins``."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import click
import orjson

from mlserver_core.codecs import Codecs
from mlserver_core.engine.parts import collect_parts
from mlserver_core.errors import PluginError
from mlserver_core.hooks.manager import PluginManager
from mlserver_core.hooks.registry import Registry


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_obj
def plugins(manager: PluginManager, as_json: bool) -> None:
    """List plugins: distribution, version, hooks, runtimes and codecs."""
    try:
        rows = describe(manager)
    except PluginError as error:
        raise click.ClickException(str(error)) from None
    click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2) if as_json else _text(rows))


def describe(manager: PluginManager) -> list[dict[str, Any]]:
    """One object per loaded plugin, with what it brings.

    Raises:
        PluginError: a plugin cannot be used.
    """
    runtimes: Registry[str] = Registry("runtime")
    codecs = Codecs()
    collect_parts(manager, runtimes, codecs)
    return [
        {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version or _version(plugin.distribution),
            "hooks": manager.hooks_of(plugin.name),
            "runtimes": _of(plugin.name, runtimes),
            "codecs": sorted(
                {*_of(plugin.name, codecs.inputs), *_of(plugin.name, codecs.requests)}
            ),
        }
        for plugin in manager.plugins
    ]


def _version(distribution: str) -> str:
    return metadata.version(distribution) if distribution else ""


def _of(plugin: str, registry: Registry[Any]) -> list[str]:
    return [name for name in registry if registry.owner(name) == plugin]


def _text(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        lines.append(f"{row['plugin']}: {row['distribution']} {row['version']}")
        kinds = (kind for kind in ("hooks", "runtimes", "codecs") if row[kind])
        lines.extend(f"  {kind}: {', '.join(row[kind])}" for kind in kinds)
    return "\n".join(lines)
