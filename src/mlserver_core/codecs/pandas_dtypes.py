"""The pandas dtypes that tensors name in ``pd_dtype``."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np

from mlserver_core.errors import CodecError

#: Nullable dtypes, and the numpy dtype of their values.
MASKED = {
    "boolean": "bool",
    "Float32": "float32",
    "Float64": "float64",
    **{
        f"{kind}{bits}": f"{kind.lower()}{bits}"
        for kind in ("Int", "UInt")
        for bits in (8, 16, 32, 64)
    },
}
_TIMES = re.compile(r"datetime64\[(s|ms|us|ns)(?:, (.+))?\]")
#: The largest number of units in a timedelta64.
_LARGEST_SPAN = 2**63 - 1
_SPANS = re.compile(r"timedelta64\[(?:s|ms|us|ns)\]")
#: Dtypes whose values come in a tensor of just that datatype.
_PLAIN = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")


def default_text_dtype() -> Any:
    """The dtype that this pandas gives a column of text: ``object`` before pandas 3."""
    import pandas as pd

    return pd.Series(["text"]).dtype


def read_dtype(name: str, dtype: Any, values: Any) -> Any:
    """A Series of that dtype.

    Args:
        name: the tensor's, for the error.
        dtype: as ``pd_dtype`` names it; None leaves it to pandas.
        values: a flat array, or a list.

    Raises:
        CodecError: no dtype of this list, or values that are not of the dtype.
    """
    try:
        return _read(dtype, values)
    except (TypeError, ValueError, OverflowError) as error:
        raise CodecError(
            f"tensor {name!r}: cannot be read as the pandas dtype {dtype!r}: {error}"
        ) from None


def _read(dtype: Any, values: Any) -> Any:
    import pandas as pd

    if dtype is None or (_PLAIN.fullmatch(str(dtype)) and isinstance(values, np.ndarray)):
        return pd.Series(values)
    if dtype in MASKED:
        return pd.Series(pd.array(values, dtype=dtype))
    if dtype == "str" and not isinstance(default_text_dtype(), pd.StringDtype):
        dtype = "object"  # pandas 3 sent it to one that has no such dtype
    if dtype == "object" or _PLAIN.fullmatch(str(dtype)):  # a list of numbers and None
        objects = np.empty(len(values), dtype=object)
        objects[:] = list(values)
        return pd.Series(objects, dtype=object)
    if dtype in ("str", "string"):
        return pd.Series(values, dtype=dtype)
    if _SPANS.fullmatch(str(dtype)):
        spans = np.asarray(values)
        if spans.dtype.kind not in "iu" or (spans.size and int(spans.max()) > _LARGEST_SPAN):
            raise ValueError("expected integers of 64 bits")
        return pd.Series(spans.astype("i8").view(dtype.replace("timedelta64", "m8")))
    match = _TIMES.fullmatch(str(dtype))
    if match is None:
        raise ValueError(
            "expected category, object, str, string, datetime64[..], timedelta64[..] or one of "
            + ", ".join(MASKED)
        )
    return _read_times(list(values), match[1], match[2])


def _exact_times(texts: list[str], unit: str) -> np.ndarray:
    """ISO 8601 text as ``datetime64[unit]``; raises for times that the unit cannot hold."""
    times = np.full(len(texts), "NaT", dtype=f"M8[{unit}]")
    known = [index for index, text in enumerate(texts) if text.lower() not in ("nat", "")]
    if known:
        # Without NaT, in which numpy 2.5 finds no unit and warns.
        exact = np.array([texts[index] for index in known], dtype="M8")
        times[known] = exact.astype(times.dtype)
        if (times[known].astype(exact.dtype) != exact).any():
            raise ValueError(f"a time is out of range, or finer, than {unit} can say")
    return times


def _read_times(values: list[Any], unit: str, zone: str | None) -> Any:
    """Times from ISO 8601 text or ``datetime``; with a zone, those without offset are UTC."""
    import pandas as pd

    texts = [
        each.isoformat() if isinstance(each, dt.datetime) else each or "NaT" for each in values
    ]
    if zone is not None:
        texts = [text.removesuffix("+00:00") for text in texts]
    if any(re.search(r"T.*([+-]|Z$)", text) for text in texts):  # of another client
        if zone is None:
            raise ValueError("a time with an offset in a column without a time zone")
        made = pd.Series(pd.to_datetime(texts, format="ISO8601", utc=True))
    else:
        made = pd.Series(_exact_times(texts, unit))
        if zone is not None:
            made = made.dt.tz_localize("UTC")
    dtype: Any = f"datetime64[{unit}, {zone}]"
    return made if zone is None else made.astype(dtype)
