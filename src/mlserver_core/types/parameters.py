"""Parameters of a request, a response or a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mlserver_core.types.converter import structure
from mlserver_core.types.dumping import Dumpable
from mlserver_core.types.open_names import OpenNames
from mlserver_core.types.tensor_data import to_lists


@attrs.define(init=False, repr=False)
class Parameters(OpenNames, Dumpable):
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
