"""Parameters as maps of InferParameter and back (Open Inference Protocol, "gRPC")."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Parameters

logger = logging.getLogger("mlserver")

_SURROGATE = re.compile("[\ud800-\udfff]")
#: Integers that a parameter can hold.
_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)


def decode_parameters(parameters: Any, where: str = "") -> Parameters | None:
    """A map of InferParameter as parameters; None when it is empty."""
    if not parameters:
        return None
    values = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        values[name] = getattr(parameter, choice) if choice else None
    try:
        return Parameters.model_validate(values)
    except InvalidRequest as error:
        raise InvalidRequest(f"{where}parameters.{error}") from None


def encode_parameters(parameters: Parameters | None, target: Any) -> None:
    """Puts the parameters that an InferParameter can hold into a map; warns of the others."""
    for name, field, value in to_choices(parameters):
        if field is None:
            target[name].SetInParent()
        else:
            setattr(target[name], field, value)


def to_choices(parameters: Parameters | None) -> Iterator[tuple[str, str | None, Any]]:
    """Each parameter's name, the field of InferParameter that holds it, and its value.

    None has no field: it is a parameter without a choice. What no field can hold is left out,
    with a warning.
    """
    for name, given in (parameters.to_plain() if parameters else {}).items():
        value = given.item() if isinstance(given, np.generic) else given
        field = field_of(value)
        if field is None and value is not None:
            logger.warning(
                "The parameter %r is a %s, which gRPC cannot carry; it is not sent",
                name,
                type(value).__name__,
            )
        else:
            yield name, field, value


def field_of(value: Any) -> str | None:
    """The field of InferParameter that holds a value; None when no field can."""
    if isinstance(value, bool):
        return "bool_param"
    if isinstance(value, int):
        if value in _INT64:
            return "int64_param"
        return "uint64_param" if value in _UINT64 else None
    if isinstance(value, float):
        return "double_param"
    return "string_param" if isinstance(value, str) and not _SURROGATE.search(value) else None
