from __future__ import annotations

import numpy as np
import pytest

from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest
from mlserver_core.types.context import RequestContext

TENSORS = [
    {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, float("nan")]},
    {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", b"\xff"]},
    {"name": "e", "datatype": "INT64", "shape": [0], "data": [], "parameters": {"unit": "m"}},
]


@pytest.fixture
async def echo(start):
    engine = await start(ModelSettings(name="m", implementation="echo"))

    async def ask(**fields):
        request = InferenceRequest(inputs=[dict(tensor) for tensor in TENSORS], **fields)
        return await engine.infer("m", None, request, RequestContext())

    return ask


async def test_each_input_comes_back_as_an_output_of_the_same_name(echo):
    answer = await echo(id="r-1")
    assert (answer.model_name, answer.id) == ("m", "r-1")
    for given, got in zip(TENSORS, answer.outputs, strict=True):
        assert (got.name, got.datatype, got.shape) == (
            given["name"],
            given["datatype"],
            given["shape"],
        )
    assert np.array_equal(
        answer.outputs[0].data, np.array([1.5, np.nan], "float32"), equal_nan=True
    )
    assert answer.outputs[1].data == ["a", b"\xff"]
    assert answer.outputs[2].parameters.unit == "m"


@pytest.mark.parametrize(
    ("asked", "names"),
    [(["e", "x"], ["x", "e"]), (["s"], ["s"]), ([], ["x", "s", "e"]), (["other"], [])],
)
async def test_only_the_requested_outputs_come_back(echo, asked, names):
    answer = await echo(outputs=[{"name": name} for name in asked])
    assert [output.name for output in answer.outputs] == names


async def test_arrays_are_handed_on_and_not_copied(start):
    engine = await start(ModelSettings(name="m", implementation="echo"))
    array = np.arange(4.0)
    request = InferenceRequest(
        inputs=[{"name": "x", "datatype": "FP64", "shape": [4], "data": array}]
    )
    answer = await engine.infer("m", None, request, RequestContext())
    assert answer.outputs[0].data.root is array
