"""Named things that plugins bring: each name once, each with the plugin it came from."""

from __future__ import annotations

import difflib
import graphlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

import attrs

from mlserver_core.errors import PluginError

T = TypeVar("T")


@attrs.define
class Registry(Generic[T]):
    """What a ``mlserver_register_*`` hook receives.

    Attributes:
        kind: what is registered, in the singular, for error messages ("runtime").
    """

    kind: str
    _values: dict[str, T] = attrs.field(factory=dict, init=False)
    _owners: dict[str, str] = attrs.field(factory=dict, init=False)
    _owner: str = attrs.field(default="this program", init=False)
    _offered: set[str] = attrs.field(factory=set, init=False)
    _earlier: dict[str, list[T]] = attrs.field(factory=dict, init=False)

    def add(self, name: str, value: T) -> None:
        """Registers ``value`` under ``name``.

        Raises:
            PluginError: the name is empty or taken; names both plugins.
        """
        if not isinstance(name, str) or not name:
            raise PluginError(self._owner, f"a {self.kind} needs a name, got {name!r}")
        if name in self._values:
            raise PluginError(
                self._owner,
                f"registers the {self.kind} {name!r}, which plugin {self._owners[name]!r} "
                "has registered already; block one of them with MLSERVER_BLOCK_PLUGINS",
            )
        self._values[name] = value
        self._owners[name] = self._owner

    def offer(self, name: str, value: T, owner: str) -> bool:
        """Registers ``value`` unless ``name`` is somebody else's; returns whether it did.

        An earlier entry of the same owner, such as that of a model before its reload, stands
        back until ``withdraw``.
        """
        if name in self._values:
            if self._owners[name] != owner:
                return False
            self._earlier.setdefault(name, []).append(self._values[name])
        self._values[name] = value
        self._owners[name] = owner
        self._offered.add(name)
        return True

    def withdraw(self, name: str, value: T) -> None:
        """Takes back what was offered; an entry that stood back for it is there again."""
        earlier = self._earlier.pop(name, [])
        if self._values.get(name) is not value:
            earlier = [each for each in earlier if each is not value]
        elif earlier:
            self._values[name] = earlier.pop()
        else:
            del self._values[name], self._owners[name]
            self._offered.discard(name)
        if earlier:
            self._earlier[name] = earlier

    def is_offered(self, name: str) -> bool:
        """Was ``name`` offered, rather than registered for good?"""
        return name in self._offered

    def get(self, name: str) -> T | None:
        """The value of that name, or None."""
        return self._values.get(name)

    def nearest(self, name: str) -> str | None:
        """The registered name that looks most like ``name``, if any does."""
        return next(iter(difflib.get_close_matches(name, self._values, 1)), None)

    def owner(self, name: str) -> str:
        """The plugin that registered ``name``; KeyError if none did."""
        return self._owners[name]

    def items(self) -> Mapping[str, T]:
        """All that is registered, by name, in order of registration."""
        return dict(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    @contextmanager
    def owned_by(self, plugin: str) -> Iterator[None]:
        """Whatever is added inside comes from ``plugin``."""
        before, self._owner = self._owner, plugin
        try:
            yield
        finally:
            self._owner = before


@attrs.define
class LayeredRegistry(Registry[T]):
    """A registry on top of another one: its own entries hide those of the other of that name.

    In order there come what plugins registered below, its own entries, and what was offered
    below by others.

    Attributes:
        below: the other registry; what it gets later shows too.
    """

    below: Registry[T] = attrs.field(kw_only=True)

    def get(self, name: str) -> T | None:
        """The value of that name, its own first, or None."""
        return self._values[name] if name in self._values else self.below.get(name)

    def nearest(self, name: str) -> str | None:
        """The name of either that looks most like ``name``, if any does."""
        return next(iter(difflib.get_close_matches(name, self.items(), 1)), None)

    def owner(self, name: str) -> str:
        """Who registered ``name``; KeyError if none did."""
        return self._owners[name] if name in self._values else self.below.owner(name)

    def items(self) -> Mapping[str, T]:
        """All that is registered, by name, in the order above."""
        below = self.below.items()
        registered = {
            name: value for name, value in below.items() if not self.below.is_offered(name)
        }
        return {**registered, **self._values, **below, **self._values}

    def __iter__(self) -> Iterator[str]:
        return iter(self.items())

    def __contains__(self, name: object) -> bool:
        return name in self._values or name in self.below


@attrs.define
class OrderedRegistry(Registry[T]):
    """A registry whose entries may ask to stand before or after others."""

    _after: dict[str, set[str]] = attrs.field(factory=dict, init=False)

    def add(
        self, name: str, value: T, *, before: tuple[str, ...] = (), after: tuple[str, ...] = ()
    ) -> None:
        """Registers ``value``; names in ``before`` and ``after`` that never come are ignored.

        Raises:
            PluginError: the name is empty or taken; names both plugins.
        """
        Registry.add(self, name, value)
        self._after.setdefault(name, set()).update(after)
        for other in before:
            self._after.setdefault(other, set()).add(name)

    def in_order(self) -> list[T]:
        """The values, outermost first.

        Raises:
            PluginError: the wishes contradict each other; names the circle.
        """
        names = {
            name: sorted(self._after.get(name, set()) & set(self._values)) for name in self._values
        }
        try:
            order = list(graphlib.TopologicalSorter(names).static_order())
        except graphlib.CycleError as error:
            circle = error.args[1]
            raise PluginError(
                self._owners[circle[0]], f"{self.kind} order is circular: {' > '.join(circle)}"
            ) from None
        return [self._values[name] for name in order]
