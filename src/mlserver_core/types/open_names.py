"""Objects with some known fields that take any other name as well."""

from __future__ import annotations

import functools
from typing import Any

import attrs

_NOTHING = object()


class OpenNames:
    """Base of attrs classes whose unknown names live in ``model_extra`` and read back as
    attributes.

    Attributes:
        model_extra: every value whose name is no field, by name.
    """

    __slots__ = ()
    model_extra: dict[str, Any]

    def __init__(self, /, **values: Any) -> None:
        known = {name: values.pop(name) for name in known_names(type(self)) if name in values}
        self.__attrs_init__(**known)  # made by attrs
        self.model_extra.update(values)

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "model_extra")[name]
        except (AttributeError, KeyError):
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "model_extra" or name in known_names(type(self)):
            object.__setattr__(self, name, value)
        else:
            self.model_extra[name] = value

    def __delattr__(self, name: str) -> None:
        if self.model_extra.pop(name, _NOTHING) is _NOTHING:
            raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __copy__(self) -> Any:
        new = type(self)(**{name: getattr(self, name) for name in known_names(type(self))})
        new.model_extra.update(self.model_extra)
        return new

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.to_plain().items())
        return f"{type(self).__name__}({values})"

    def to_plain(self) -> dict[str, Any]:
        """The values that are set, by name."""
        known = {name: getattr(self, name) for name in known_names(type(self))}
        set_values = {name: value for name, value in known.items() if value is not None}
        return set_values | self.model_extra


def known_names(cls: Any) -> tuple[str, ...]:
    """The names of the fields of an attrs class, in order, but for ``model_extra``."""
    return _known_names(cls)


@functools.cache
def _known_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(cls) if field.name != "model_extra")
