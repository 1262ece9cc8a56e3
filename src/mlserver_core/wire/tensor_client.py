"""The elements of a request's tensors, as a client sends them outside JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlserver_core.types import Datatype, RequestInput
from mlserver_core.types.tensors import to_elements


def input_values(tensor: RequestInput) -> Any:
    """A flat array of the datatype's dtype; for BYTES a list of ``bytes``, texts as UTF-8.

    Raises:
        InvalidRequest: the data does not fit the tensor's shape or datatype.
    """
    elements = to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
    if tensor.datatype is Datatype.BYTES:
        return [_to_bytes(element) for element in elements]
    return np.ascontiguousarray(elements).reshape(-1)


def _to_bytes(element: Any) -> bytes:
    if element is None:
        return b""
    return element.encode() if isinstance(element, str) else bytes(element)
