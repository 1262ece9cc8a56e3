"""Which elements of a column are missing, and as what: None, NaN, pandas.NA or NaT.

The wires know at most one kind of missing text, and gRPC none, so a parameter says it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from mlserver_core.errors import CodecError
from mlserver_core.types import RequestInput, ResponseOutput


def write_missing(values: np.ndarray, missing: np.ndarray) -> str:
    """The ``pd_missing`` parameter: JSON with the rows of each kind."""
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(missing).tolist():
        rows.setdefault(_kind(values[row]), []).append(row)
    return orjson.dumps(rows).decode()


def put_back_missing(tensor: RequestInput | ResponseOutput, values: list[Any]) -> list[Any]:
    """``values`` with what ``pd_missing`` says; raises CodecError."""
    text = tensor.parameters.model_extra.get("pd_missing") if tensor.parameters else None
    if text is None:
        return values
    try:
        for kind, rows in orjson.loads(text).items():
            for row in rows:
                if row < 0:
                    raise IndexError(row)
                values[row] = _value(kind)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CodecError(
            f'tensor {tensor.name!r}: expected JSON such as {{"None": [0]}} with rows of the '
            f"tensor in pd_missing: {error}"
        ) from None
    return values


def _kind(value: Any) -> str:
    import pandas as pd

    if value is None:
        return "None"
    return "NA" if value is pd.NA else "NaT" if value is pd.NaT else "NaN"


def _value(kind: str) -> Any:
    import pandas as pd

    return {"None": None, "NaN": np.nan, "NA": pd.NA, "NaT": pd.NaT}[kind]
