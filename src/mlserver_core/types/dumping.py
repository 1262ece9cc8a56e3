"""The method names that runtimes written for MLServer's pydantic types call."""

from __future__ import annotations

import builtins
import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from mlserver_core.types.converter import dump, structure

if TYPE_CHECKING:
    from typing_extensions import Self


def _to_json(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return value.decode()  # as pydantic does
    raise TypeError(f"{type(value).__name__} has no JSON form")


class Dumpable:
    """Gives an attrs class pydantic's names for dumping, validating and copying."""

    __slots__ = ()

    def model_dump(
        self,
        *,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        exclude_none: bool = True,
        **_: Any,
    ) -> Any:
        """The value as plain dicts, lists and scalars; unset (None) fields are left out.

        Args:
            include: the names of the fields that are wanted; None for all.
            exclude: the names of the fields that are not.
            exclude_none: leave out what is None?
        """
        plain = dump(self, exclude_none=exclude_none)
        if not isinstance(plain, builtins.dict):
            return plain
        wanted = plain if include is None else set(include)
        unwanted = set(exclude)
        return {name: plain[name] for name in plain if name in wanted and name not in unwanted}

    def model_dump_json(self, **options: Any) -> str:
        """The value as one line of JSON text."""
        plain = self.model_dump(**options)
        return orjson.dumps(plain, default=_to_json, option=orjson.OPT_NON_STR_KEYS).decode()

    @classmethod
    def model_validate(cls, value: Any) -> Self:
        """Makes an instance of plain data.

        Raises:
            InvalidRequest: with the path of every problem.
        """
        return value if isinstance(value, cls) else structure(value, cls)

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        """Makes an instance of JSON text; raises as ``model_validate``, or ValueError."""
        return cls.model_validate(orjson.loads(text))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, shallow unless ``deep``, with the fields in ``update`` replaced."""
        new = copy.deepcopy(self) if deep else copy.copy(self)
        for name, value in (update or {}).items():
            setattr(new, name, value)
        return new

    dict = model_dump
    json = model_dump_json
    copy = model_copy
    parse_obj = model_validate
    parse_raw = model_validate_json
