"""The files of a new plugin, filled from the templates beside this module."""

from __future__ import annotations

from importlib import metadata, resources
from string import Template

import attrs

from mlserver_core.cli.new_plugin.names import PluginNames

#: The template of each file, by its path in the plugin's folder.
_OF_EVERY_KIND = {
    ".gitignore": "every_kind/gitignore",
    "pyproject.toml": "every_kind/pyproject.toml",
    "setup.cfg": "every_kind/setup.cfg",
    "src/$package/__init__.py": "every_kind/__init__.py",
    "src/$package/py.typed": "every_kind/py.typed",
}
_OF_KIND = {
    "runtime": {
        "README.md": "runtime/README.md",
        "models/$name/model-settings.json": "runtime/model-settings.json",
        "src/$package/plugin.py": "runtime/plugin.py",
        "src/$package/runtime.py": "runtime/runtime.py",
        "tests/test_runtime.py": "runtime/test_runtime.py",
    },
    "codec": {
        "README.md": "codec/README.md",
        "models/$name/model-settings.json": "codec/model-settings.json",
        "models/$name/models.py": "codec/models.py",
        "src/$package/codec.py": "codec/codec.py",
        "src/$package/plugin.py": "codec/plugin.py",
        "tests/test_codec.py": "codec/test_codec.py",
    },
}
#: What there are templates of.
KINDS = tuple(_OF_KIND)


def fill(kind: str, names: PluginNames) -> dict[str, str]:
    """The text of each file, by its path in the plugin's folder.

    Args:
        kind: one of ``KINDS``.
        names: they go into Python, INI, JSON and Markdown, and mean nothing special in any.
    """
    templates = resources.files(__package__) / "templates"
    values = {
        **attrs.asdict(names),
        "kind": kind,
        # As the server's own version is now: it need not fit the next one.
        "requirement": f"mlserver-core~={metadata.version('mlserver-core').partition('+')[0]}",
    }
    return {
        Template(path).substitute(values): Template(
            (templates / f"{template}.template").read_text(encoding="utf-8")
        ).substitute(values)
        for path, template in {**_OF_EVERY_KIND, **_OF_KIND[kind]}.items()
    }
