"""How a setting is declared: type, default, what it is for, and whether it acts yet."""

from __future__ import annotations

import enum
import functools
import re
import typing
from collections.abc import Mapping
from typing import Any

import attrs

from mlserver_core.types.converter import show

#: Characters; as file systems have it.
_LONGEST_NAME = 255
#: Processes; a slip of the finger shall not fill the machine with them.
MOST_WORKERS = 1024


class Effect(enum.Enum):
    """What setting a setting does today."""

    #: It does what its help says.
    ACTIVE = "active"
    #: A setting of MLServer whose feature is not built yet; setting it warns.
    LATER = "later"
    #: A setting of MLServer that has no meaning here; accepted without a word.
    NONE = "none"


def setting(help: str, effect: Effect = Effect.ACTIVE, *, as_is: Any = None, **options: Any) -> Any:
    """An attrs field with its help text.

    Args:
        help: what it is for, for the docs.
        effect: what setting it does today.
        as_is: of a setting without effect, a value that says what is done anyway.
        options: those of ``attrs.field``.
    """
    return attrs.field(metadata={"help": help, "effect": effect, "as_is": as_is}, **options)


@functools.cache
def kinds_of(cls: type) -> Mapping[str, Any]:
    """The types of a class's fields, by name.

    They are worked out once: that takes a millisecond, and each model's settings ask for them
    several times.
    """
    return typing.get_type_hints(cls)


def effect_of(field: attrs.Attribute[Any]) -> Effect:
    """What setting this field does today."""
    found: Effect = field.metadata.get("effect", Effect.ACTIVE)
    return found


def one_of(*allowed: str) -> Any:
    """A validator that takes these words only; raises ValueError."""

    def check(_: object, __: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}, got {value!r}")

    return check


def at_least(minimum: float) -> Any:
    """A validator for numbers; raises ValueError below ``minimum``."""

    def check(_: object, __: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not value >= minimum:
            raise ValueError(f"expected at least {minimum}, got {value}")

    return check


def above(limit: float) -> Any:
    """A validator for numbers; raises ValueError for ``limit`` and what is below it."""

    def check(_: object, __: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not value > limit:
            raise ValueError(f"expected more than {limit}, got {value}")

    return check


def within(minimum: int, maximum: int) -> Any:
    """A validator for whole numbers that would do harm above ``maximum``; raises ValueError."""

    def check(_: object, __: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not minimum <= value <= maximum:
            raise ValueError(f"expected {minimum} to {maximum}, got {value}")

    return check


def path_or_object(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    """A validator for settings that are an object or the path of a file that holds one."""
    if not isinstance(value, (str, dict, type(None))):
        raise ValueError(f"expected a path or an object, got {show(value)}")  # noqa: TRY004  # as every validator


def without_nul(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    """A validator for the name of a file, or a list of them; raises ValueError for what no file
    can be called.
    """
    for name in value if isinstance(value, list) else (value,):
        if isinstance(name, str) and "\0" in name:
            raise ValueError(f"expected a name without NUL characters, got {show(name)}")


def port(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    """A validator for TCP port numbers; 0 asks the system for a free one."""
    if not 0 <= value <= 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {value}")


def url_segment(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    """A validator for names that stand in URLs and may not lead anywhere else; raises
    ValueError.
    """
    if value is None or is_name(value):
        return
    if len(value) > _LONGEST_NAME:
        raise ValueError(f"expected a name of at most {_LONGEST_NAME} characters")
    raise ValueError(f"expected a name without slashes and control characters, got {value!r}")


def is_name(value: str) -> bool:
    """May this be the name or the version of a model?"""
    unsafe = value in (".", "..") or any(each in "/\\" or ord(each) < 0x20 for each in value)
    return not unsafe and len(value) <= _LONGEST_NAME


def path(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    """A validator for the path of one page; an empty one means that there is no such page."""
    if value and not re.fullmatch(r"/[^\s{}?#]*", value):
        raise ValueError(f"expected a path such as /metrics, got {value!r}")


def metric_prefix(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    """A validator for what the names of metrics begin with."""
    if not re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", value):
        raise ValueError(f"expected letters, digits and '_', and no digit first, got {value!r}")
