"""Codecs that a model or a plugin marks, for whoever loads its modules to register.

The decorators touch no registry, so importing a module changes no server.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, TypeVar

from mlserver_core.codecs.interfaces import (
    InputCodec,
    InputCodecLike,
    RequestCodec,
    RequestCodecLike,
)

AnyInputCodec = TypeVar("AnyInputCodec", bound=InputCodecLike)
AnyRequestCodec = TypeVar("AnyRequestCodec", bound=RequestCodecLike)

_MARK = "_mlserver_codec"
_INPUT, _REQUEST = "input codec", "request codec"


def register_input_codec(CodecKlass: AnyInputCodec) -> AnyInputCodec:  # noqa: N803  # MLServer's name
    """Decorates the codec of a single tensor: the server that loads this module registers it
    under its ``ContentType``, for as long as the model is loaded. Takes a class or an instance.

    Raises:
        TypeError: it has no ``ContentType``.
    """
    _mark(CodecKlass, _INPUT)
    return CodecKlass


def register_request_codec(CodecKlass: AnyRequestCodec) -> AnyRequestCodec:  # noqa: N803
    """As ``register_input_codec``, for the codec of a whole request."""
    _mark(CodecKlass, _REQUEST)
    return CodecKlass


def _mark(codec: Any, kind: str) -> None:
    if not isinstance(codec.ContentType, str) or not codec.ContentType:
        raise TypeError(f"{codec!r} needs a ContentType, the name that requests call it by")
    setattr(codec, _MARK, (kind, id(codec)))


def is_marked_for_requests(codec: Any) -> bool:
    """Is a marked codec one of whole requests?"""
    return bool(getattr(codec, _MARK)[0] == _REQUEST)


def find_marked(modules: Iterable[ModuleType]) -> list[Any]:
    """The marked codecs that these modules define or import, each once.

    Modules that they hold a reference to, such as ``from mine import codecs``, are looked
    through as well; what those refer to is not.
    """
    found: dict[int, Any] = {}
    for module in _with_referenced(modules):
        for value in list(vars(module).values()):
            if _is_marked(value):
                found.setdefault(id(value), value)
    return list(found.values())


def model_modules(cls: type, package: str | None) -> list[ModuleType]:
    """The imported modules that a model's code consists of.

    Args:
        cls: the model's class. All modules of the installed package it comes from, and of
            those that its base classes come from, belong to it; our own ones do not.
        package: the package that the modules beside its settings file were loaded under.
    """
    tops = {base.__module__.partition(".")[0] for base in cls.__mro__}
    tops -= {__name__.partition(".")[0], "builtins", "abc", "typing"}
    tops.add(package or "")
    imported = sys.modules.copy()  # in one step: other models import theirs meanwhile
    names = sorted(name for name in imported if name.partition(".")[0] in tops)
    return [imported[name] for name in names if isinstance(imported[name], ModuleType)]


def _with_referenced(modules: Iterable[ModuleType]) -> Iterator[ModuleType]:
    seen: set[int] = set()
    own = list(modules)
    referenced = (
        value
        for module in own
        for value in list(vars(module).values())
        if issubclass(type(value), ModuleType)
    )
    for module in (*own, *referenced):
        if id(module) not in seen:
            seen.add(id(module))
            yield module


def _is_marked(value: Any) -> bool:
    # type() and not isinstance(): a module may hold proxies that do not like to be asked.
    kind = type(value)
    if not issubclass(kind, (type, InputCodec, RequestCodec)):
        return False
    mark = getattr(value, _MARK, None)
    return mark is not None and mark[1] == id(value)  # a subclass inherits the attribute only
