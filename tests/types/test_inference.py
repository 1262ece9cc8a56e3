"""Constructors of requests and responses: dicts and plain lists are enough."""

import copy
import pickle

import numpy as np
import pytest

from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    TensorData,
)

TENSOR = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]}


@pytest.mark.parametrize("cls", [RequestInput, ResponseOutput])
def test_a_tensor_converts_its_arguments(cls):
    made = cls(
        name="x", shape=(2,), datatype="FP32", data=[1, 2], parameters={"content_type": "np"}
    )

    assert made.shape == [2]
    assert type(made.shape) is list
    assert made.datatype is Datatype.FP32
    assert type(made.data) is TensorData
    assert made.data == [1, 2]
    assert made.parameters == Parameters(content_type="np")


@pytest.mark.parametrize("cls", [RequestInput, ResponseOutput])
def test_setting_an_attribute_converts_as_the_constructor_does(cls):
    made = cls(**TENSOR)
    made.datatype = "INT8"
    made.data = np.array([3, 4])
    made.parameters = {"a": 1}
    made.shape = (2, 1)

    assert made.datatype is Datatype.INT8
    assert type(made.data) is TensorData
    assert made.parameters.a == 1
    assert made.shape == [2, 1]


def test_tensor_data_is_not_wrapped_twice_and_arrays_are_not_copied():
    data = TensorData([1.0])
    array = np.zeros(1)

    assert RequestInput(name="x", shape=[1], datatype="FP32", data=data).data is data
    assert RequestInput(name="x", shape=[1], datatype="FP32", data=array).data.root is array


@pytest.mark.parametrize("cls", [RequestInput, ResponseOutput])
def test_an_unknown_datatype_is_a_value_error_that_names_it(cls):
    with pytest.raises(ValueError, match="'FLOAT' is not a valid Datatype"):
        cls(name="x", shape=[1], datatype="FLOAT", data=[1])


def test_a_request_takes_dicts():
    made = InferenceRequest(
        id="7",
        parameters={"a": 1},
        inputs=[TENSOR],
        outputs=[{"name": "y", "parameters": {"b": 2}}],
    )

    assert made.inputs == [RequestInput(**TENSOR)]
    assert made.outputs == [RequestOutput(name="y", parameters=Parameters(b=2))]
    assert made.parameters.a == 1


def test_a_request_takes_instances_and_any_iterable():
    tensor = RequestInput(**TENSOR)

    assert InferenceRequest(inputs=(tensor,)).inputs == [tensor]
    assert InferenceRequest(inputs=iter([TENSOR])).inputs == [tensor]
    assert InferenceRequest(inputs=[tensor, TENSOR]).inputs == [tensor, tensor]


def test_a_list_of_instances_stays_the_callers_own():
    outputs = []
    response = InferenceResponse(outputs=outputs)
    outputs.append(ResponseOutput(**TENSOR))

    assert response.outputs == [ResponseOutput(**TENSOR)]


def test_what_may_be_left_out():
    request, response = InferenceRequest(inputs=[]), InferenceResponse(outputs=[])

    assert (request.id, request.parameters, request.outputs) == (None, None, None)
    assert (response.id, response.parameters) == (None, None)
    assert (response.model_name, response.model_version) == ("", None)


@pytest.mark.parametrize("cls", [InferenceRequest, InferenceResponse, RequestInput, ResponseOutput])
def test_what_may_not_be_left_out(cls):
    with pytest.raises(TypeError, match="missing"):
        cls()


def test_a_response_takes_dicts():
    made = InferenceResponse(model_name="m", model_version="v1", id="7", outputs=[TENSOR])

    assert made.outputs == [ResponseOutput(**TENSOR)]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_equal(way):
    made = InferenceRequest(
        id="7", parameters={"a": [1]}, inputs=[TENSOR | {"data": np.array([1.0, np.nan])}]
    )

    assert way(made) == made


def test_requests_differ_by_data():
    assert InferenceRequest(inputs=[TENSOR]) == InferenceRequest(inputs=[TENSOR])
    assert InferenceRequest(inputs=[TENSOR]) != InferenceRequest(
        inputs=[TENSOR | {"data": [1.0, 3.0]}]
    )
