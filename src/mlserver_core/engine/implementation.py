"""From the word ``implementation`` to a class."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from types import ModuleType
from typing import Any

from mlserver_core.engine.module_space import ModuleSpace
from mlserver_core.errors import ModelLoadError
from mlserver_core.hooks.registry import Registry
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings

#: Names that plugins of ours bring, by the plugin's distribution; no other is ever advised, since
#: a misspelt name may be a stranger's package.
_OURS = {"sklearn": "mlserver-core-sklearn", "mlserver_sklearn": "mlserver-core-sklearn"}


def find_class(
    settings: ModelSettings, runtimes: Registry[str], space: ModuleSpace | None
) -> type[MLModel]:
    """The MLModel subclass that ``implementation`` means.

    Args:
        settings: ``implementation`` is a class, a registered name, or a dotted path.
        runtimes: the registered names and the dotted paths behind them.
        space: the modules beside the settings file, which a dotted path is looked up in first.

    Raises:
        ModelLoadError: nothing of that name, or not an MLModel subclass.
    """
    found = settings.implementation
    if isinstance(found, str):
        found = _find(settings, found, runtimes, space)
    if not isinstance(found, type) or not issubclass(found, MLModel):
        raise ModelLoadError(
            settings.name,
            f"implementation {settings.implementation!r} is not a subclass of "
            "mlserver_core.MLModel",
        )
    return found


def _find(
    settings: ModelSettings, name: str, runtimes: Registry[str], space: ModuleSpace | None
) -> Any:
    registered = runtimes.get(name)
    if registered is not None:
        return pkgutil.resolve_name(registered)
    if "." not in name:
        nearest = runtimes.nearest(name)
        hint = f"; did you mean {nearest!r}?" if nearest else "."
        if space is not None and space.has(name):
            hint = (
                f", but a module of that name beside the settings file: name its class, {name}.X."
            )
        raise ModelLoadError(
            settings.name,
            f"there is no runtime {name!r}{hint} Installed: {', '.join(runtimes)}. "
            f"{_install(name)}, or give the dotted path of an MLModel subclass.",
        )
    return _import(settings, name, space)


def _import(settings: ModelSettings, path: str, space: ModuleSpace | None) -> Any:
    """What a dotted path leads to; what its modules raise while they are imported comes out."""
    top, *rest = path.split(".")
    prefix = f"{space.package}." if space is not None and space.has(top) else ""
    if not prefix and importlib.util.find_spec(top) is None:
        raise ModelLoadError(
            settings.name,
            f"implementation {path!r}: there is no module {top!r} beside the settings file, "
            f"and none is installed{_hint(top)}",
        )
    found: Any = importlib.import_module(prefix + top)
    name = top
    for part in rest:
        parent, name = name, f"{name}.{part}"
        if hasattr(found, part):
            found = getattr(found, part)
        elif hasattr(found, "__path__") and importlib.util.find_spec(prefix + name):
            found = importlib.import_module(prefix + name)
        else:
            kind = "module" if isinstance(found, ModuleType) else "class"
            nearest = difflib.get_close_matches(part, dir(found), 1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ModelLoadError(
                settings.name, f"implementation {path!r}: {kind} {parent!r} has no {part!r}{hint}"
            )
    return found


def _install(name: str) -> str:
    if name in _OURS:
        return f"Install the plugin that brings it (pip install {_OURS[name]})"
    return "Install the plugin that brings it"


def _hint(module: str) -> str:
    return f"; pip install {_OURS[module]} brings it" if module in _OURS else ""
