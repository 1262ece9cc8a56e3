"""Arrays and requests to measure with."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlserver_core.types import InferenceRequest, RequestInput, TensorData


def make_array(shape: tuple[int, ...]) -> np.ndarray:
    """FP32 elements that all differ, and are no whole numbers: their JSON has the usual number of
    digits.
    """
    return np.linspace(0.1, 1.1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def make_request(data: Any, shape: tuple[int, ...]) -> InferenceRequest:
    """A request with one FP32 tensor, of an array or of a list as JSON has it."""
    tensor = RequestInput(name="x", shape=list(shape), datatype="FP32", data=TensorData(data))
    return InferenceRequest(id="benchmark", inputs=[tensor])
