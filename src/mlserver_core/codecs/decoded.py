"""What was decoded already, kept beside the parameters of what it was decoded from."""

from __future__ import annotations

from typing import Any

from mlserver_core.types import (
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    RequestOutput,
    ResponseOutput,
)
from mlserver_core.types.parameters import DECODED

DecodedParameterName = DECODED
Parametrised = InferenceRequest | InferenceResponse | RequestInput | RequestOutput | ResponseOutput

__all__ = [
    "DecodedParameterName",
    "Parametrised",
    "get_decoded",
    "get_decoded_or_raw",
    "has_decoded",
    "save_decoded",
]


def has_decoded(parametrised_obj: Parametrised) -> bool:
    """Has a codec decoded this request or tensor?"""
    return hasattr(parametrised_obj.parameters, DecodedParameterName)


def get_decoded(parametrised_obj: Parametrised) -> Any:
    """What a codec made of it; None when none did."""
    return getattr(parametrised_obj.parameters, DecodedParameterName, None)


def get_decoded_or_raw(parametrised_obj: Parametrised) -> Any:
    """What a codec made of it; else the ``TensorData`` of a tensor, or the object itself."""
    if has_decoded(parametrised_obj):
        return get_decoded(parametrised_obj)
    if isinstance(parametrised_obj, (RequestInput, ResponseOutput)):
        return parametrised_obj.data
    return parametrised_obj


def save_decoded(parametrised_obj: Parametrised, payload: Any) -> None:
    """Keeps ``payload`` for ``get_decoded``. It is never sent, dumped, copied or pickled."""
    if parametrised_obj.parameters is None:
        parametrised_obj.parameters = Parameters()
    setattr(parametrised_obj.parameters, DecodedParameterName, payload)
