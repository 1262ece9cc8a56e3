"""Finds plugins, refuses bad ones by name, and calls their hooks."""

from __future__ import annotations

import difflib
import logging
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from importlib import metadata
from types import ModuleType
from typing import Any

import attrs
import pluggy

from mlserver_core.errors import PluginError
from mlserver_core.hooks import specs
from mlserver_core.hooks.markers import GROUP
from mlserver_core.hooks.registry import Registry

logger = logging.getLogger("mlserver")

BLOCK_VARIABLE = "MLSERVER_BLOCK_PLUGINS"
TRACE_VARIABLE = "MLSERVER_TRACE_PLUGINS"


@attrs.frozen(kw_only=True)
class Candidate:
    """A plugin that is installed, loaded or not.

    Attributes:
        name: the entry point's name.
        module: the dotted path of the module with the hook implementations.
        distribution: the distribution that brings it, and its version.
    """

    name: str
    module: str
    distribution: str
    version: str


@attrs.define
class PluginManager:
    """The plugins of one server. pluggy is asked here and only here, and never while serving."""

    _manager: pluggy.PluginManager = attrs.field(
        factory=lambda: pluggy.PluginManager(GROUP), init=False
    )
    _loaded: dict[str, Candidate] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._manager.add_hookspecs(specs)

    def load(self, candidates: Iterable[Candidate], environ: Mapping[str, str]) -> None:
        """Imports and registers plugins, but for those that ``MLSERVER_BLOCK_PLUGINS`` names.

        Raises:
            PluginError: a plugin cannot be imported, shares its name with another, or has a
                hook that is misspelt or asks for arguments the hook does not have.
        """
        blocked = _names(environ.get(BLOCK_VARIABLE, ""))
        unknown = set(blocked)
        for candidate in candidates:
            unknown.discard(candidate.name)
            if candidate.name in blocked:
                logger.info("Plugin %r is blocked by %s", candidate.name, BLOCK_VARIABLE)
            else:
                self._add(candidate, _import(candidate))
        for name in sorted(unknown):
            logger.warning("%s names %r, but no such plugin is installed", BLOCK_VARIABLE, name)
        if environ.get(TRACE_VARIABLE, "0") not in ("", "0"):
            self._manager.add_hookcall_monitoring(_trace_before, _trace_after)

    def register(self, name: str, plugin: object) -> None:
        """Registers a plugin object that is no entry point, such as one made by a test."""
        self._add(Candidate(name=name, module="", distribution="", version=""), plugin)

    def _add(self, candidate: Candidate, plugin: object) -> None:
        other = self._loaded.get(candidate.name)
        if other is not None:
            raise PluginError(
                candidate.name,
                f"the name is used by {_origin(other)} and by {_origin(candidate)}; "
                "uninstall one of them",
            )
        if not self._has_hooks(plugin):
            raise PluginError(
                candidate.name,
                f"{candidate.module or plugin!r} has no function marked with "
                "@mlserver_core.hookimpl, so it is no plugin",
            )
        try:
            self._manager.register(plugin, candidate.name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._manager.get_plugin(candidate.name) is plugin:
                self._manager.unregister(plugin)
            raise PluginError(candidate.name, self._explain(plugin, str(error))) from None
        self._loaded[candidate.name] = candidate

    def _has_hooks(self, plugin: object) -> bool:
        return any(self._manager.parse_hookimpl_opts(plugin, name) for name in dir(plugin))

    def _explain(self, plugin: object, error: str) -> str:
        for name in dir(plugin):
            if self._manager.parse_hookimpl_opts(plugin, name) and not hasattr(specs, name):
                nearest = difflib.get_close_matches(name, self.hooks(), 1)
                hint = f"; did you mean {nearest[0]}?" if nearest else ""
                return f"there is no hook {name}{hint}"
        return " ".join(error.split())

    @property
    def plugins(self) -> list[Candidate]:
        """The loaded plugins, in the order they were loaded."""
        return list(self._loaded.values())

    def modules(self) -> Iterator[tuple[str, ModuleType]]:
        """Name and module of each loaded plugin that is a module."""
        for name in self._loaded:
            plugin = self._manager.get_plugin(name)
            if isinstance(plugin, ModuleType):
                yield name, plugin

    @staticmethod
    def hooks() -> list[str]:
        """The names of all hooks."""
        return [name for name in vars(specs) if name.startswith("mlserver_")]

    def hooks_of(self, plugin: str) -> list[str]:
        """The hooks that a loaded plugin implements."""
        callers = self._manager.get_hookcallers(self._manager.get_plugin(plugin)) or []
        return [caller.name for caller in callers]

    def collect(self, hook: str, *registries: Registry[Any], **arguments: Any) -> None:
        """Asks every plugin, one after the other, so that a registry knows who is adding.

        Raises:
            PluginError: an implementation raised; names the plugin and the hook.
        """
        for plugin, caller in self._callers(hook):
            with ExitStack() as owners:
                for registry in registries:
                    owners.enter_context(registry.owned_by(plugin))
                try:
                    caller(**arguments)
                except PluginError:
                    raise
                except Exception as error:
                    raise PluginError(
                        plugin, f"hook {hook} failed: {type(error).__name__}: {error}"
                    ) from error

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tells every plugin of an event; one that raises is logged and changes nothing."""
        for plugin, caller in self._callers(hook):
            try:
                caller(**arguments)
            except Exception:
                logger.exception("Plugin %r failed in hook %s", plugin, hook)

    def monitor(self, before: Any, after: Any) -> Any:
        """Calls ``before`` and ``after`` around every hook call; returns how to undo it."""
        return self._manager.add_hookcall_monitoring(before, after)

    def _callers(self, hook: str) -> Iterator[tuple[str, Any]]:
        found = getattr(self._manager.hook, hook).get_hookimpls()
        implementations = sorted(found, key=lambda each: each.trylast - each.tryfirst)
        everyone = {implementation.plugin for implementation in implementations}
        for implementation in implementations:
            others = everyone - {implementation.plugin}
            yield implementation.plugin_name, self._manager.subset_hook_caller(hook, others)


def installed_plugins() -> Iterator[Candidate]:
    """The plugins of installed distributions: entry points in the group ``mlserver_core``."""
    # A distribution that is twice on the path counts once: the first is what Python imports. They
    # are told apart by the names of their folders, since to read what each says of itself is slow.
    for point in metadata.entry_points(group=GROUP):
        if point.dist is not None:
            yield Candidate(
                name=point.name,
                module=point.value,
                distribution=point.dist.name,
                version=point.dist.version,
            )


def _import(candidate: Candidate) -> Any:
    try:
        return pkgutil.resolve_name(candidate.module)
    except Exception as error:
        raise PluginError(
            candidate.name,
            f"{_origin(candidate)} cannot be imported: {type(error).__name__}: {error}; "
            f"repair or uninstall it, or set {BLOCK_VARIABLE}={candidate.name}",
        ) from error


def _origin(candidate: Candidate) -> str:
    return f"{candidate.module or 'an object'} of {candidate.distribution} {candidate.version}"


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}


def _trace_before(hook: str, implementations: Any, arguments: Mapping[str, Any]) -> None:
    plugins = ", ".join(implementation.plugin_name for implementation in implementations)
    logger.info("hook %s(%s) -> %s", hook, ", ".join(arguments), plugins)


def _trace_after(outcome: Any, hook: str, *_: Any) -> None:
    if outcome.excinfo is not None:
        logger.info("hook %s raised %r", hook, outcome.excinfo[1])
