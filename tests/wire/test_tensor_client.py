"""The elements of a request's tensors outside JSON."""

from __future__ import annotations

import numpy as np
import pytest

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import RequestInput
from mlserver_core.wire.tensor_client import input_values


def test_numbers_become_a_flat_array_of_the_datatype():
    data = [[1, None], [2, 3]]
    values = input_values(RequestInput(name="x", shape=[2, 2], datatype="FP32", data=data))
    assert (values.dtype, values.shape) == (np.float32, (4,))
    np.testing.assert_array_equal(values, [1, np.nan, 2, 3])


def test_texts_become_utf8_and_null_is_empty():
    tensor = RequestInput(name="x", shape=[3], datatype="BYTES", data=["ü", None, b"\xff"])
    assert input_values(tensor) == ["ü".encode(), b"", b"\xff"]


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(InvalidRequest, match="shape \\[3\\] expects 3 elements, got 2"):
        input_values(RequestInput(name="x", shape=[3], datatype="INT8", data=[1, 2]))
