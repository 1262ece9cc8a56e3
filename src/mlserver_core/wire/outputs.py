"""The elements of an output tensor, as protocols that are not JSON send them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlserver_core.errors import InvalidRequest, RuntimeFailed
from mlserver_core.types import Datatype, ResponseOutput
from mlserver_core.types.tensors import flatten, to_values


def output_values(output: ResponseOutput) -> Any:
    """A flat array of the datatype's dtype; for BYTES a list of ``bytes``.

    Raises:
        RuntimeFailed: the output holds what its datatype cannot; the runtime's author must act.
    """
    if output.datatype is Datatype.BYTES:
        return [_to_bytes(output, element) for element in _elements(output)]
    try:
        values: np.ndarray = to_values(output.name, output.datatype, output.data.root)
    except InvalidRequest as error:  # the runtime's mistake, not the caller's
        raise RuntimeFailed(f"the model's answer does not fit: {error}") from None
    return np.ascontiguousarray(values).reshape(-1)


def _elements(output: ResponseOutput) -> list[Any]:
    root = output.data.root
    plain = root.tolist() if isinstance(root, np.ndarray) else root
    if isinstance(plain, (str, bytes)):
        return [plain]
    if isinstance(plain, (list, tuple)):
        try:
            return flatten(output.name, plain)
        except InvalidRequest as error:
            raise RuntimeFailed(f"the model's answer does not fit: {error}") from None
    raise RuntimeFailed(
        f"the model's answer does not fit: output {output.name!r} of datatype BYTES is a "
        f"{type(plain).__name__}"
    )


def _to_bytes(output: ResponseOutput, element: Any) -> bytes:
    if isinstance(element, (bytes, bytearray)):
        return bytes(element)
    if element is None:
        return b""
    if isinstance(element, str):
        try:
            return element.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise RuntimeFailed(
                f"the model's answer does not fit: output {output.name!r}: {error}"
            ) from None
    raise RuntimeFailed(
        f"the model's answer does not fit: output {output.name!r} of datatype BYTES holds a "
        f"{type(element).__name__}"
    )
