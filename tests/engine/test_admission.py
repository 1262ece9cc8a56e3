from __future__ import annotations

import uuid

import numpy as np
import pytest

from mlserver_core.engine.admission import admit
from mlserver_core.errors import InvalidRequest
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext


def request(*tensors, **fields):
    made = [
        RequestInput(name=name, datatype=datatype, shape=shape, data=data)
        for name, datatype, shape, data in tensors
    ]
    return InferenceRequest(inputs=made, **fields)


def settings(*declared, strict=True):
    inputs = [
        {"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in declared
    ]
    return ModelSettings(name="m", implementation=MLModel, inputs=inputs, strict_inputs=strict)


def test_a_request_without_an_id_gets_one_of_its_own():
    first, second = request(), request(id="")
    for each in (first, second):
        admit(each, settings(), RequestContext())
    assert uuid.UUID(first.id) != uuid.UUID(second.id)


def test_an_id_is_kept():
    asked = request(id="mine")
    admit(asked, settings(), RequestContext())
    assert asked.id == "mine"


def test_headers_in_the_payload_are_replaced_by_those_of_the_transport():
    headers = {"x-true": "1"}
    asked = request(parameters={"headers": {"x-forged": "1"}, "other": 2})
    admit(asked, settings(), RequestContext(headers=headers))
    assert asked.parameters.headers == {"x-true": "1"}
    assert asked.parameters.other == 2
    asked.parameters.headers["more"] = "2"
    assert headers == {"x-true": "1"}


def test_a_request_without_parameters_gets_the_headers_too():
    asked = request()
    admit(asked, settings(), RequestContext(headers={"a": "b"}))
    assert asked.parameters.headers == {"a": "b"}


def test_data_becomes_an_array_of_its_datatype():
    asked = request(("x", "INT32", [2], [1, 2]), ("s", "BYTES", [1], ["text"]))
    admit(asked, settings(), RequestContext())
    assert asked.inputs[0].data.root.dtype == np.int32
    assert asked.inputs[1].data.root == ["text"]


def test_data_that_does_not_fit_its_shape_is_refused_by_name():
    with pytest.raises(InvalidRequest, match="tensor 'x': shape"):
        admit(request(("x", "INT32", [3], [1, 2])), settings(), RequestContext())


STRICT = settings(("x", "FP32", [-1, 2]), ("y", "INT64", [1]))
X, Y = ("x", "FP32", [3, 2], [1.0] * 6), ("y", "INT64", [1], [1])


def test_strict_inputs_take_what_is_declared_in_any_order():
    admit(request(X, Y), STRICT, RequestContext())
    admit(request(Y, X), STRICT, RequestContext())


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ([X], "the model takes the inputs x, y, got x"),
        ([], "the model takes the inputs x, y, got none"),
        ([X, Y, ("z", *Y[1:])], "the model takes the inputs x, y, got x, y, z"),
        ([X, X], "the model takes the inputs x, y, got x, x"),
        ([("x", "FP64", *X[2:]), Y], "tensor 'x': expected datatype FP32, got FP64"),
        ([("x", "FP32", [6], [1.0] * 6), Y], "tensor 'x': expected shape [-1, 2], got [6]"),
        ([("x", "FP32", [2, 3], X[3]), Y], "tensor 'x': expected shape [-1, 2], got [2, 3]"),
        ([("x", "FP32", [3, 2, 1], X[3]), Y], "tensor 'x': expected shape [-1, 2], got [3, 2, 1]"),
        ([X, ("y", "INT64", [2], [1, 2])], "tensor 'y': expected shape [1], got [2]"),
    ],
)
def test_strict_inputs_refuse_anything_else(tensors, text):
    with pytest.raises(InvalidRequest) as refused:
        admit(request(*tensors), STRICT, RequestContext())
    assert str(refused.value) == text


def test_declared_inputs_are_not_enforced_unless_strict():
    free = settings(("x", "FP32", [1]), strict=False)
    admit(request(("other", "BYTES", [1], ["a"])), free, RequestContext())


def test_strict_without_declared_inputs_takes_anything():
    admit(request(X), settings(), RequestContext())
