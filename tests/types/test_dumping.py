"""The method names that runtimes written for MLServer's pydantic types call."""

import inspect
import json

import ml_dtypes
import numpy as np
import pytest

from mlserver_core import types
from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    Parameters,
    RepositoryIndexResponse,
    RequestInput,
    ResponseOutput,
)
from mlserver_core.types.dumping import Dumpable

PLAIN = {
    "id": "7",
    "parameters": {"content_type": "np", "threshold": 0.5},
    "inputs": [
        {
            "name": "x",
            "shape": [2],
            "datatype": "FP32",
            "parameters": {"content_type": "np"},
            "data": [1.0, 2.0],
        }
    ],
    "outputs": [{"name": "y"}],
}
DUMPABLE = [
    each for each in vars(types).values() if inspect.isclass(each) and issubclass(each, Dumpable)
]


def request():
    return InferenceRequest.model_validate(PLAIN)


@pytest.mark.parametrize("method", ["model_dump", "dict"])
def test_dump_gives_plain_data(method):
    made = getattr(request(), method)()

    assert made == PLAIN
    assert type(made) is dict
    assert type(made["parameters"]) is dict
    assert type(made["inputs"][0]["data"]) is list


@pytest.mark.parametrize("method", ["model_dump_json", "json"])
def test_json_dump_is_text_of_the_same(method):
    made = getattr(request(), method)()

    assert type(made) is str
    assert json.loads(made) == PLAIN


@pytest.mark.parametrize("method", ["model_validate", "parse_obj"])
def test_validate_makes_an_instance_of_plain_data(method):
    made = getattr(InferenceRequest, method)(PLAIN)

    assert type(made) is InferenceRequest
    assert type(made.inputs[0]) is RequestInput
    assert made.inputs[0].datatype is Datatype.FP32
    assert made.parameters.threshold == 0.5
    assert made.outputs[0].name == "y"


@pytest.mark.parametrize("method", ["model_validate_json", "parse_raw"])
@pytest.mark.parametrize("convert", [str, str.encode])
def test_validate_json_takes_text_and_bytes(method, convert):
    text = convert(json.dumps(PLAIN))

    assert getattr(InferenceRequest, method)(text) == request()


def test_validate_leaves_an_instance_alone():
    made = request()

    assert InferenceRequest.model_validate(made) is made


def test_validate_refuses_with_the_place():
    with pytest.raises(InvalidRequest) as caught:
        InferenceRequest.model_validate({"inputs": [{"name": 5, "shape": [1], "datatype": "FP32"}]})

    assert str(caught.value) == (
        "inputs[0].name: expected a string, got 5; inputs[0].data: required, but missing"
    )


def test_validate_of_broken_json_is_a_value_error():
    with pytest.raises(ValueError, match="unexpected end of data"):
        InferenceRequest.model_validate_json('{"inputs": ')


@pytest.mark.parametrize("cls", DUMPABLE)
def test_every_type_has_every_method(cls):
    names = (
        "model_dump model_dump_json dict json model_validate model_validate_json parse_obj "
        "parse_raw model_copy copy"
    )
    assert all(callable(getattr(cls, name)) for name in names.split())


def test_none_is_left_out_unless_asked_for():
    made = ResponseOutput(name="y", shape=[1], datatype="BOOL", data=[True])

    assert made.model_dump() == {"name": "y", "shape": [1], "datatype": "BOOL", "data": [True]}
    assert made.model_dump(exclude_none=False) == {
        "name": "y",
        "shape": [1],
        "datatype": "BOOL",
        "parameters": None,
        "data": [True],
    }


def test_only_included_names_are_given():
    made = request()

    assert made.model_dump(include={"id", "outputs", "no such"}) == {
        "id": "7",
        "outputs": [{"name": "y"}],
    }
    assert made.dict(include={"id", "outputs"}, exclude={"id"}) == {"outputs": [{"name": "y"}]}


def test_excluded_names_are_left_out():
    made = request()

    assert made.model_dump(exclude={"inputs", "parameters"}) == {
        "id": "7",
        "outputs": [{"name": "y"}],
    }
    assert json.loads(made.model_dump_json(exclude={"inputs", "parameters", "no such"})) == {
        "id": "7",
        "outputs": [{"name": "y"}],
    }


def test_options_of_pydantic_without_a_meaning_here_are_taken():
    assert request().model_dump(by_alias=True, exclude_unset=True, mode="json") == PLAIN


@pytest.mark.parametrize(
    ("array", "lists"),
    [
        (np.array([[1, 2], [3, 4]], np.int8), [[1, 2], [3, 4]]),
        (np.array([True, False]), [True, False]),
        (np.array([0.5, 1.5], np.float16), [0.5, 1.5]),
        (np.array([0.5, 1.5], ml_dtypes.bfloat16), [0.5, 1.5]),
        (np.array([], np.float32), []),
    ],
)
def test_arrays_are_dumped_as_lists(array, lists):
    made = ResponseOutput(name="y", shape=list(array.shape), datatype="FP32", data=array)

    assert made.model_dump()["data"] == lists
    assert json.loads(made.model_dump_json())["data"] == lists


def test_bytes_are_text_in_json():
    made = ResponseOutput(name="y", shape=[2, 1], datatype="BYTES", data=["a", "é".encode()])

    assert made.model_dump()["data"] == ["a", "é".encode()]
    assert json.loads(made.model_dump_json())["data"] == ["a", "é"]


def test_numpy_values_of_parameters_are_plain_in_json():
    made = Parameters(score=np.float32(0.5), labels=np.array([1, 2]))

    assert json.loads(made.model_dump_json()) == {"score": 0.5, "labels": [1, 2]}


def test_nan_is_null_in_json():
    made = ResponseOutput(name="y", shape=[2], datatype="FP32", data=np.array([np.nan, 1]))

    assert json.loads(made.model_dump_json())["data"] == [None, 1.0]


def test_dump_and_validate_round_trip():
    made = request()

    assert InferenceRequest.model_validate(made.model_dump()) == made
    assert InferenceRequest.model_validate(made.model_dump(exclude_none=False)) == made
    assert InferenceRequest.model_validate_json(made.model_dump_json()) == made


def test_an_index_is_its_list_both_ways():
    plain = [{"name": "iris", "state": "READY", "reason": ""}]
    made = RepositoryIndexResponse.model_validate({"root": plain})

    assert made.model_dump() == plain
    assert json.loads(made.model_dump_json()) == plain
    assert RepositoryIndexResponse.model_validate(plain) == made
    assert RepositoryIndexResponse.model_validate_json(made.model_dump_json()) == made


def test_changing_a_dump_leaves_the_original_alone():
    made = InferenceRequest(
        parameters={"headers": {"a": "b"}, "mine": {"c": [1]}},
        inputs=[{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["a"]}],
    )

    dumped = made.model_dump()
    dumped["parameters"]["headers"].clear()
    dumped["parameters"]["mine"]["c"].append(2)
    dumped["inputs"][0]["shape"].append(1)
    dumped["inputs"][0]["data"].append("b")

    assert made.parameters.headers == {"a": "b"}
    assert made.parameters.mine == {"c": [1]}
    assert made.inputs[0].shape == [1]
    assert made.inputs[0].data == ["a"]


def test_a_shallow_copy_shares_what_it_holds():
    made = request()
    copied = made.model_copy()

    assert copied is not made
    assert copied == made
    assert copied.inputs is made.inputs
    assert copied.parameters is made.parameters


def test_a_deep_copy_shares_nothing():
    made = request()
    copied = made.model_copy(deep=True)

    assert copied == made
    assert copied.inputs[0] is not made.inputs[0]
    copied.inputs[0].data.root[0] = 9.0
    copied.parameters.threshold = 0.9
    assert made == request()


@pytest.mark.parametrize("method", ["model_copy", "copy"])
def test_a_copy_takes_updates_and_the_original_stays(method):
    made = request()
    copied = getattr(made, method)(update={"id": "8", "outputs": None})

    assert (copied.id, copied.outputs) == ("8", None)
    assert made == request()


@pytest.mark.parametrize("deep", [False, True])
def test_updating_a_copy_of_parameters_leaves_the_original_alone(deep):
    made = Parameters(a=1, content_type="np")
    copied = made.model_copy(update={"b": 2, "content_type": "str"}, deep=deep)

    assert copied == Parameters(a=1, b=2, content_type="str")
    assert made == Parameters(a=1, content_type="np")


def test_updates_are_converted_as_by_the_constructor():
    made = InferenceResponse(outputs=[])
    copied = made.model_copy(update={"parameters": {"a": 1}})

    assert copied.parameters == Parameters(a=1)


def test_metadata_made_of_dicts_can_be_dumped():
    tensor = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
    made = MetadataModelResponse(name="iris", platform="sklearn", inputs=[tensor])

    assert made.model_dump() == {"name": "iris", "platform": "sklearn", "inputs": [tensor]}
