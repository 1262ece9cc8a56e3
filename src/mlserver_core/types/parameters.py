"""Parameters of a request, a response or a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mlserver_core.types.converter import structure
from mlserver_core.types.dumping import Dumpable
from mlserver_core.types.open_names import OpenNames
from mlserver_core.types.tensor_data import to_lists

#: Where codecs keep what they decoded; MLServer's name.
DECODED = "_decoded_payload"


#: What is no parameter of an open name.
_FIELDS = frozenset({"content_type", "headers", "model_extra", DECODED})


class _Decoded:
    """Room for a decoded payload that is no parameter: it is never dumped, sent or copied."""

    __slots__ = (DECODED,)


@attrs.define(init=False, repr=False)
class Parameters(_Decoded, OpenNames, Dumpable):
    """An open set of named values; a name that is no field reads back as an attribute.

    Attributes:
        content_type: the codec that decodes the payload, such as ``np``.
        headers: HTTP headers or gRPC metadata; the server fills it on requests and sends it
            as headers on responses.
        model_extra: every other parameter, by name.
    """

    content_type: str | None = None
    headers: dict[str, Any] | None = None
    model_extra: dict[str, Any] = attrs.field(factory=dict)

    def __init__(
        self,
        /,
        *,
        content_type: str | None = None,
        headers: dict[str, Any] | None = None,
        **extra: Any,
    ) -> None:
        # Every request has some of these; the general way of OpenNames takes three times as long.
        object.__setattr__(self, "content_type", content_type)
        object.__setattr__(self, "headers", headers)
        object.__setattr__(self, "model_extra", extra)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIELDS:
            object.__setattr__(self, name, value)
        else:
            self.model_extra[name] = value

    def __getattr__(self, name: str) -> Any:
        if name == DECODED:  # a client may have sent a parameter of that name
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        return OpenNames.__getattr__(self, name)

    def to_plain(self) -> dict[str, Any]:
        """The values that are set, by name."""
        plain: dict[str, Any] = {}
        if self.content_type is not None:
            plain["content_type"] = self.content_type
        if self.headers is not None:
            plain["headers"] = self.headers
        plain.update(self.model_extra)
        return plain

    def to_lists(self) -> dict[str, Any]:
        """As ``to_plain``, but a copy without numpy's arrays and numbers, for a model_dump."""
        plain: dict[str, Any] = to_lists(self.to_plain())
        return plain


def to_parameters(value: Parameters | Mapping[str, Any] | None) -> Parameters | None:
    """Makes ``Parameters`` of a plain dict; leaves ``Parameters`` and ``None`` alone.

    Raises:
        InvalidRequest: a field of another type than it should have.
    """
    if value is None or isinstance(value, Parameters):
        return value
    return structure(value, Parameters)
