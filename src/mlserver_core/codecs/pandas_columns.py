"""Columns of a DataFrame as tensors and back, with their pandas dtypes.

Everything here is called with pandas at hand, so it is imported where it is used.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from mlserver_core.codecs.base64 import Base64Codec
from mlserver_core.codecs.datetime import DatetimeCodec
from mlserver_core.codecs.decoded import get_decoded, has_decoded
from mlserver_core.codecs.elements import ElementCodec
from mlserver_core.codecs.json import JSONCodec, PandasJSONCodec
from mlserver_core.codecs.numpy import NumpyCodec
from mlserver_core.codecs.pandas_dtypes import MASKED, default_text_dtype, read_dtype
from mlserver_core.codecs.pandas_missing import put_back_missing, write_missing
from mlserver_core.codecs.string import StringCodec
from mlserver_core.errors import CodecError, InvalidRequest
from mlserver_core.types import Datatype, Parameters, RequestInput, ResponseOutput

#: What a BYTES column may name; any other content type is text here.
_ELEMENT_CODECS: dict[str, type[ElementCodec]] = {
    codec.ContentType: codec
    for codec in (StringCodec, Base64Codec, DatetimeCodec, JSONCodec, PandasJSONCodec)
}
_FAR_YEAR = re.compile(r"[+-]|\d{5}")


def write_column(name: str, column: Any, *, use_bytes: bool) -> ResponseOutput:
    """A Series as a tensor of ``[N, 1]`` that ``read_column`` makes the same Series of.

    Raises:
        CodecError: a dtype or a value that cannot be sent; names the column.
    """
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _write_categorical(name, column, use_bytes=use_bytes)
    if isinstance(dtype, pd.StringDtype) or dtype == np.dtype(object):
        return _write_objects(name, column, use_bytes=use_bytes)
    if str(dtype) in MASKED:
        return _write_masked(name, column, use_bytes=use_bytes)
    kind = getattr(dtype, "kind", "")
    if isinstance(dtype, pd.DatetimeTZDtype) or (isinstance(dtype, np.dtype) and kind == "M"):
        return _write_times(name, column, use_bytes=use_bytes)
    if not isinstance(dtype, np.dtype):
        raise CodecError(
            f"column {name!r}: pandas dtype {dtype} has no V2 datatype; convert it with astype"
        )
    values = column.to_numpy()
    if kind == "m":
        return _tensor(name, values.view("i8"), pd_dtype=str(dtype))
    return _tensor(name, values)


def read_column(tensor: RequestInput | ResponseOutput) -> Any:
    """The Series of a tensor; its ``pd_dtype`` parameter, where it has one, says which dtype.

    Raises:
        CodecError: more than one element in a row, or values that are not of the dtype.
    """
    import pandas as pd

    extra = tensor.parameters.model_extra if tensor.parameters else {}
    dtype = extra.get("pd_dtype")
    values = _read_values(tensor)
    if dtype != "category":
        return read_dtype(tensor.name, dtype, values)
    categories = read_column(_read_categories(tensor.name, extra.get("pd_categories")))
    try:
        wanted = pd.CategoricalDtype(categories, ordered=extra.get("pd_ordered") is True)
    except ValueError as error:
        raise CodecError(f"tensor {tensor.name!r}: pd_categories: {error}") from None
    plain = read_dtype(tensor.name, str(categories.dtype), values)
    if not (plain.isna() | plain.isin(categories)).all():
        raise CodecError(f"tensor {tensor.name!r}: holds a value that is not in pd_categories")
    return pd.Series(pd.Categorical(plain, dtype=wanted))


def _tensor(name: str, values: np.ndarray, **parameters: Any) -> ResponseOutput:
    output = NumpyCodec.encode_output(name, values)
    output.parameters = Parameters(**parameters) if parameters else None
    return output


def _elements(
    codec: type[ElementCodec], name: str, values: Any, *, use_bytes: bool, **parameters: Any
) -> ResponseOutput:
    output = codec.encode_output(name, values, use_bytes=use_bytes)
    output.parameters = Parameters(content_type=codec.ContentType, **parameters)
    return output


def _write_objects(name: str, column: Any, *, use_bytes: bool) -> ResponseOutput:
    """Text as ``str``, bytes as ``base64``, anything else as JSON, element by element."""
    values = column.to_numpy(dtype=object)
    missing = column.isna().to_numpy()
    kinds = set(map(type, values[~missing]))
    parameters: dict[str, Any] = {}
    if missing.any():
        parameters["pd_missing"] = write_missing(values, missing)
    sent = np.where(missing, None, values) if missing.any() else values
    if all(issubclass(kind, str) for kind in kinds):
        if column.dtype != default_text_dtype() or not kinds:  # no text to tell it by
            parameters["pd_dtype"] = str(column.dtype)
        return _elements(StringCodec, name, sent, use_bytes=use_bytes, **parameters)
    binary = [issubclass(kind, (bytes, bytearray)) for kind in kinds]
    if any(binary) and not all(binary):
        raise CodecError(
            f"column {name!r}: holds bytes beside other types; make them one type first"
        )
    codec = Base64Codec if any(binary) else PandasJSONCodec
    parameters["pd_dtype"] = "object"
    return _elements(codec, name, list(sent), use_bytes=use_bytes, **parameters)


def _write_masked(name: str, column: Any, *, use_bytes: bool) -> ResponseOutput:
    """Nullable numbers: as numbers where none is missing or NaN can say it, else as JSON."""
    dtype = str(column.dtype)
    plain = MASKED[dtype]
    if plain.startswith("float"):
        return _tensor(name, column.to_numpy(dtype=plain, na_value=np.nan), pd_dtype=dtype)
    if not column.isna().any():
        return _tensor(name, column.to_numpy(dtype=plain), pd_dtype=dtype)
    values = column.to_numpy(dtype=object, na_value=None)
    return _elements(PandasJSONCodec, name, list(values), use_bytes=use_bytes, pd_dtype=dtype)


def _write_times(name: str, column: Any, *, use_bytes: bool) -> ResponseOutput:
    """ISO 8601, in UTC where there is a time zone; called ``datetime`` where Python has room."""
    dtype = str(column.dtype)
    zone = getattr(column.dt, "tz", None)
    if zone is not None:
        _check_zone(name, column.dtype)
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    times = column.to_numpy()
    if (times == times.astype("M8[us]")).all() or column.isna().all():
        times = times.astype("M8[us]")
    texts = np.datetime_as_string(times).tolist()
    suffix = "+00:00" if zone is not None else ""
    sent = [None if text == "NaT" else text + suffix for text in texts]
    output = _elements(StringCodec, name, sent, use_bytes=use_bytes, pd_dtype=dtype)
    fits = times.dtype == np.dtype("M8[us]") and not any(map(_FAR_YEAR.match, texts))
    output.parameters = Parameters(pd_dtype=dtype)
    if fits:
        output.parameters.content_type = DatetimeCodec.ContentType
    return output


def _check_zone(name: str, dtype: Any) -> None:
    import pandas as pd

    try:
        same = pd.api.types.pandas_dtype(str(dtype)) == dtype
    except TypeError:
        same = False
    if not same:
        raise CodecError(
            f"column {name!r}: the time zone of {dtype} has no name to send; "
            "use tz_convert with a name, such as 'UTC'"
        )


def _write_categorical(name: str, column: Any, *, use_bytes: bool) -> ResponseOutput:
    """The values as a column of the categories' own dtype; the categories as a parameter."""
    import pandas as pd

    categories, codes = column.cat.categories, column.cat.codes.to_numpy()
    if (codes >= 0).all():
        plain = pd.Series(categories.take(codes))
    elif categories.dtype.kind in "iub":  # no place for a missing one
        plain = pd.Series([None if code < 0 else categories[code] for code in codes], dtype=object)
    else:
        plain = pd.Series(categories).reindex(codes).reset_index(drop=True)
    output = write_column(name, plain, use_bytes=use_bytes)
    parameters = output.parameters or Parameters()
    parameters.pd_dtype = "category"
    parameters.pd_ordered = bool(column.cat.ordered)
    described = write_column(name, pd.Series(categories), use_bytes=False)
    parameters.pd_categories = described.model_dump_json()
    output.parameters = parameters
    return output


def _read_categories(name: str, text: Any) -> RequestInput:
    try:
        tensor: RequestInput = RequestInput.model_validate_json(text)
    except (InvalidRequest, TypeError, ValueError) as error:
        raise CodecError(
            f"tensor {name!r}: expected a tensor as JSON in pd_categories: {error}"
        ) from None
    if tensor.parameters and tensor.parameters.model_extra.get("pd_dtype") == "category":
        raise CodecError(f"tensor {name!r}: pd_categories cannot be categorical")
    return tensor


def _read_values(tensor: RequestInput | ResponseOutput) -> Any:
    """The column's values: a flat array, or a list of anything but numbers."""
    decoded = get_decoded(tensor) if has_decoded(tensor) else None
    if decoded is not None and not isinstance(decoded, np.ndarray):
        return put_back_missing(tensor, list(decoded))
    if math.prod(tensor.shape[1:]) != 1:
        raise CodecError(
            f"tensor {tensor.name!r}: a column has shape [N] or [N, 1], got {tensor.shape}"
        )
    if tensor.datatype is Datatype.BYTES and decoded is None:
        content_type = tensor.parameters.content_type if tensor.parameters else None
        codec = _ELEMENT_CODECS.get(content_type or "", StringCodec)
        return put_back_missing(tensor, codec.decode_output(tensor))  # type: ignore[arg-type]
    if decoded is None:
        decoded = NumpyCodec.decode_output(tensor)  # type: ignore[arg-type]  # the fields are equal
    flat: np.ndarray = decoded.reshape(-1)
    if flat.dtype.kind in "OSU":
        return put_back_missing(tensor, flat.tolist())
    return flat.astype(np.float32) if flat.dtype.name == "bfloat16" else flat
