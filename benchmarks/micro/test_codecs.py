"""Codecs: tensors to Python values, and back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest

from mlserver_core.codecs import (
    Base64Codec,
    DatetimeCodec,
    JSONCodec,
    NumpyCodec,
    PandasCodec,
    StringCodec,
)

NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone.utc)


@attrs.frozen
class Case:
    """A codec, and what makes a value of so many elements for it."""

    codec: Any
    make: Callable[[int], Any]
    large: int


def _frame(rows: int) -> pd.DataFrame:
    number = np.arange(rows)
    return pd.DataFrame(
        {"count": number, "share": number / 7, "even": number % 2 == 0, "name": number.astype(str)}
    )


def _record(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"item {number}", "scores": [number / 7, number / 11]}


def _times(count: int) -> list[dt.datetime]:
    return [NOON + dt.timedelta(seconds=each) for each in range(count)]


CASES = {
    "np": Case(NumpyCodec, lambda size: np.arange(size, dtype=np.float32).reshape(1, -1), 10**6),
    "str": Case(StringCodec, lambda size: [f"text number {each}" for each in range(size)], 10**4),
    "base64": Case(Base64Codec, lambda size: [bytes(256)] * size, 10**4),
    "datetime": Case(DatetimeCodec, _times, 10**4),
    "json": Case(JSONCodec, lambda size: [_record(each) for each in range(size)], 10**4),
    "pd": Case(PandasCodec, _frame, 10**4),
}
SIZES = ("small", "large")


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """One codec after the other."""
    return CASES[request.param]


@pytest.fixture(params=SIZES)
def value(request: pytest.FixtureRequest, case: Case) -> Any:
    """Four elements, or many."""
    return case.make(case.large if request.param == "large" else 4)


@pytest.fixture
def group(request: pytest.FixtureRequest, benchmark: Any) -> None:
    """One table for each direction and size."""
    name = request.function.__name__.removeprefix("test_")
    benchmark.group = f"codecs: {name}, {request.node.callspec.params['value']}"


@pytest.mark.usefixtures("group")
def test_encode(benchmark: Any, case: Case, value: Any) -> None:
    """An answer's value to a tensor; of a DataFrame, to a response."""
    codec = case.codec
    if codec is PandasCodec:
        response = benchmark(codec.encode_response, "m", value)
        decoded = codec.decode_response(response)
    else:
        decoded = codec.decode_output(benchmark(codec.encode_output, "y", value))
    assert _equal(decoded, value)


@pytest.mark.usefixtures("group")
def test_decode(benchmark: Any, case: Case, value: Any) -> None:
    """A tensor of a request, as gRPC brings it, to a value; of a DataFrame, a request."""
    codec = case.codec
    if codec is PandasCodec:
        decoded = benchmark(codec.decode_request, codec.encode_request(value))
    else:
        decoded = benchmark(codec.decode_input, codec.encode_input("x", value))
    assert _equal(decoded, value)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame):
        return bool((one == other).all(axis=None))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else one == other
