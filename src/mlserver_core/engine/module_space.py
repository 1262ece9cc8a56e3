"""Keeps the code of each model folder to itself.

Two models may each have a ``models.py`` and a ``helpers.py`` beside their settings. Every
folder gets a *module space*: its modules are loaded under a package of their own, and

- an ``import`` statement in code of the folder, at its top or inside a function, looks in the
  folder first. Python takes ``__import__`` from the ``__builtins__`` of the module that the
  statement stands in, so each module of a space gets builtins with an ``__import__`` of that
  space. This holds in any thread and at any time.
- code of others that looks a module up by its plain name while it works for the model (an
  unpickler, ``importlib.import_module``) finds a stand-in in ``sys.modules``, which hands out
  the attributes of whichever space is current.
"""

from __future__ import annotations

import builtins
import contextvars
import importlib
import importlib.util
import itertools
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

import attrs

#: The space that plain names mean in the current task or thread.
current_space: contextvars.ContextVar[ModuleSpace | None] = contextvars.ContextVar(
    "mlserver_module_space", default=None
)
_numbers = itertools.count(1)


@attrs.define(eq=False)
class ModuleSpace(MetaPathFinder):
    """The modules of one model folder, loaded once per load of the model.

    Attributes:
        folder: where they are.
        package: the name of the package they are loaded under.
    """

    folder: Path
    package: str = attrs.field(init=False)
    _builtins: dict[str, Any] = attrs.field(init=False, repr=False)
    _held: dict[str, bool] = attrs.field(factory=dict, init=False)
    _stand_ins: set[str] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.package = f"mlserver_model_{next(_numbers)}"
        self._builtins = {**vars(builtins), "__import__": self._import}

    def open(self) -> None:
        """Makes the space's modules importable."""
        root = types.ModuleType(self.package, f"Modules of the model in {self.folder.name}.")
        root.__path__ = [str(self.folder)]
        sys.modules[self.package] = root
        importlib.invalidate_caches()  # a file may have come since the folder was last listed
        sys.meta_path.insert(0, self)

    def close(self) -> None:
        """Forgets the space's modules, and the stand-ins for them."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        names = list(sys.modules)  # in one step: other models import theirs meanwhile
        for name in names:
            if _is_below(name, self.package):
                sys.modules.pop(name, None)
        for name in self._stand_ins:
            if isinstance(sys.modules.get(name), _StandIn):
                del sys.modules[name]  # another space that needs it makes it anew

    @contextmanager
    def current(self) -> Iterator[None]:
        """Plain names are looked up in this space inside, in this thread or task."""
        token = current_space.set(self)
        try:
            yield
        finally:
            current_space.reset(token)

    def import_module(self, name: str, package: str | None = None) -> types.ModuleType:
        """As ``importlib.import_module``, but the folder's modules come first."""
        if not name.startswith(".") and self.has(name):
            name = f"{self.package}.{name}"
        return importlib.import_module(name, package)

    def has(self, name: str) -> bool:
        """Does the folder hold the top-level module or package of ``name``?"""
        top = name.partition(".")[0]
        if top not in self._held:
            self._held[top] = self._looks(top)
        return self._held[top]

    def _looks(self, top: str) -> bool:
        spec = PathFinder.find_spec(top, [str(self.folder)])
        if spec is None:
            return False
        # A folder without __init__.py gives way to an installed package, as Python has it.
        return spec.origin is not None or not _is_installed(top)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,  # noqa: ARG002  # importlib gives it
    ) -> ModuleSpec | None:
        """Finds the space's own modules, and stand-ins for their plain names."""
        if fullname.startswith(self.package + "."):
            return self._find_own(fullname, path)
        current = current_space.get()
        if current is not None and current.has(fullname):
            if current is not self:
                return None  # its own finder will be asked
            self._stand_ins.add(fullname)
            return ModuleSpec(fullname, _StandInLoader(), is_package=True)
        parent = fullname.rpartition(".")[0]
        if isinstance(sys.modules.get(parent), _StandIn):  # for others it is what is installed
            return _find_installed(fullname, parent)
        return None

    def _find_own(self, fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _OwnLoader(fullname, spec.loader.path, self._builtins)
        return spec

    def _import(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """What an ``import`` statement in code of the folder calls."""
        if isinstance(fromlist, list) and name not in sys.modules:
            # No import statement: C code, such as pickle.loads, that looks the plain name up
            # in sys.modules when we return.
            with self.current():
                importlib.import_module(name)
        if level or not self.has(name):
            found = builtins.__import__(name, globals, locals, fromlist or (), level)
            return _ImportLib(self) if found is importlib else found
        own = builtins.__import__(f"{self.package}.{name}", globals, locals, fromlist or (), 0)
        if fromlist:
            return own
        return sys.modules[f"{self.package}.{name.partition('.')[0]}"]


class _OwnLoader(SourceFileLoader):
    """Runs a module of a space with the space's builtins."""

    def __init__(self, fullname: str, path: str, own_builtins: dict[str, Any]) -> None:
        super().__init__(fullname, path)
        self._builtins = own_builtins

    def path_stats(self, path: str) -> Any:
        """Keeps no bytecode: the folder may be read-only, and a file that changed within the
        resolution of its time stamp would be missed.
        """
        raise OSError(path)

    def exec_module(self, module: types.ModuleType) -> None:
        vars(module)["__builtins__"] = self._builtins
        super().exec_module(module)


class _ImportLib(types.ModuleType):
    """``importlib`` as code of a space sees it: ``import_module`` looks in the folder first."""

    def __init__(self, space: ModuleSpace) -> None:
        super().__init__("importlib", importlib.__doc__)
        self.import_module = space.import_module

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib, name)


class _StandInLoader(Loader):
    """Makes the stand-in that represents a plain name in ``sys.modules``."""

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing runs: the modules behind a stand-in are loaded by their spaces."""


class _StandIn(types.ModuleType):
    """Represents every module of one plain name: attributes come from the current space.

    Outside any space that has such a module, it is the installed module of that name.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            module = _behind(self.__name__)
        except ModuleNotFoundError:
            if name.startswith("__"):  # asked of every module by inspect and its like
                raise AttributeError(name) from None
            raise
        return getattr(module, name)


def _behind(name: str) -> types.ModuleType:
    space = current_space.get()
    if space is not None and space.has(name):
        return space.import_module(name)
    return _installed(name)


def _installed(name: str) -> types.ModuleType:
    """The installed module of that name, run once and then kept by the stand-in."""
    stand_in = sys.modules.pop(name, None)
    kept = vars(stand_in) if isinstance(stand_in, _StandIn) else {}
    try:
        if "_installed" not in kept:
            kept["_installed"] = importlib.import_module(name)
        found: types.ModuleType = kept["_installed"]
        return found
    finally:
        if stand_in is not None:
            sys.modules[name] = stand_in


def _find_installed(fullname: str, parent: str) -> ModuleSpec | None:
    try:
        path = getattr(_installed(parent), "__path__", None)
    except ModuleNotFoundError:
        return None
    return None if path is None else PathFinder.find_spec(fullname, path)


def _is_installed(top: str) -> bool:
    if top in sys.modules and not isinstance(sys.modules[top], _StandIn):
        return True
    spec = PathFinder.find_spec(top)
    return spec is not None and spec.origin is not None


def _is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")
