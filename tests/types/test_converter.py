"""Plain data to types: strict, with the place of everything that does not fit."""

from collections import OrderedDict

import attrs
import numpy as np
import pytest

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataServerResponse,
    Parameters,
    RequestInput,
)
from mlserver_core.types.converter import converter, dump, explain, show, structure

TENSOR = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}
DATATYPES = (
    "BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BF16, BYTES"
)


@attrs.define
class Facts:
    """One field of each scalar kind."""

    text: str = ""
    count: int = 0
    share: float = 0.0
    flag: bool = False
    names: list[str] = attrs.field(factory=list)
    table: dict[str, int] = attrs.field(factory=dict)
    maybe: int | None = None


def refusal(value, cls):
    with pytest.raises(InvalidRequest) as caught:
        structure(value, cls)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "inputs: required, but missing"),
        ([], "expected an object, got a list"),
        (None, "expected an object, got null"),
        ("x", "expected an object, got 'x'"),
        ({"inputs": {}}, "inputs: expected a list, got an object"),
        ({"inputs": None}, "inputs: expected a list, got null"),
        ({"inputs": "x"}, "inputs: expected a list, got 'x'"),
        ({"inputs": [5]}, "inputs[0]: expected an object, got 5"),
        ({"inputs": [TENSOR, []]}, "inputs[1]: expected an object, got a list"),
        ({"inputs": [], "outputs": {}}, "outputs: expected a list, got an object"),
        ({"inputs": [], "outputs": [{}]}, "outputs[0].name: required, but missing"),
        ({"inputs": [], "id": 5}, "id: expected a string, got 5"),
        ({"inputs": [], "parameters": []}, "parameters: expected an object, got a list"),
        (
            {"inputs": [TENSOR | {"shape": ["2"]}]},
            "inputs[0].shape[0]: expected an integer, got '2'",
        ),
        (
            {"inputs": [TENSOR | {"shape": [1, 2.0]}]},
            "inputs[0].shape[1]: expected an integer, got 2.0",
        ),
        (
            {"inputs": [TENSOR | {"shape": [True]}]},
            "inputs[0].shape[0]: expected an integer, got true",
        ),
        ({"inputs": [TENSOR | {"shape": 1}]}, "inputs[0].shape: expected a list, got 1"),
        (
            {"inputs": [TENSOR | {"datatype": "fp32"}]},
            f"inputs[0].datatype: expected one of {DATATYPES}, got 'fp32'",
        ),
        (
            {"inputs": [TENSOR | {"datatype": None}]},
            f"inputs[0].datatype: expected one of {DATATYPES}, got null",
        ),
        (
            {"inputs": [TENSOR | {"parameters": {"content_type": 5}}]},
            "inputs[0].parameters.content_type: expected a string, got 5",
        ),
        (
            {"inputs": [TENSOR | {"parameters": {"headers": [1]}}]},
            "inputs[0].parameters.headers: expected an object, got a list",
        ),
    ],
)
def test_a_request_that_does_not_fit_names_the_place_and_both_sides(value, text):
    assert refusal(value, InferenceRequest) == text


def test_all_problems_are_told_at_once():
    value = {
        "id": 5,
        "inputs": [{"shape": ["2"], "datatype": "X"}, TENSOR | {"name": None}],
        "outputs": "y",
    }

    assert refusal(value, InferenceRequest) == (
        "id: expected a string, got 5; "
        "inputs[0].name: required, but missing; "
        "inputs[0].shape[0]: expected an integer, got '2'; "
        f"inputs[0].datatype: expected one of {DATATYPES}, got 'X'; "
        "inputs[0].data: required, but missing; "
        "inputs[1].name: expected a string, got null; "
        "outputs: expected a list, got 'y'"
    )


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("text", 5, "text: expected a string, got 5"),
        ("text", None, "text: expected a string, got null"),
        ("text", b"x", "text: expected a string, got b'x'"),
        ("count", "5", "count: expected an integer, got '5'"),
        ("count", True, "count: expected an integer, got true"),
        ("count", 1.0, "count: expected an integer, got 1.0"),
        ("count", None, "count: expected an integer, got null"),
        ("share", "0.5", "share: expected a number, got '0.5'"),
        ("share", False, "share: expected a number, got false"),
        ("flag", 1, "flag: expected true or false, got 1"),
        ("flag", "true", "flag: expected true or false, got 'true'"),
        ("flag", 0, "flag: expected true or false, got 0"),
        ("names", {}, "names: expected a list, got an object"),
        ("names", "abc", "names: expected a list, got 'abc'"),
        ("names", ["a", 1], "names[1]: expected a string, got 1"),
        ("table", [], "table: expected an object, got a list"),
        ("table", {"a": "1"}, "table['a']: expected an integer, got '1'"),
        ("maybe", "5", "maybe: expected an integer, got '5'"),
        ("maybe", False, "maybe: expected an integer, got false"),
    ],
)
def test_scalars_are_not_turned_into_one_another(field, value, text):
    assert refusal({field: value}, Facts) == text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", ""),
        ("count", -(2**70)),
        ("share", 1),
        ("share", 0.5),
        ("flag", False),
        ("names", ["a", ""]),
        ("table", {"a": 1}),
        ("maybe", None),
        ("maybe", 5),
    ],
)
def test_scalars_that_fit_are_kept_as_they_are(field, value):
    kept = getattr(structure({field: value}, Facts), field)

    assert kept == value
    assert type(kept) is type(value)


def test_unknown_fields_are_ignored():
    value = {"inputs": [TENSOR | {"tags": ["a"]}], "model": "x", "": None}
    made = structure(value, InferenceRequest)

    assert made == InferenceRequest(inputs=[TENSOR])


def test_null_stands_for_an_optional_field_that_is_absent():
    value = {"inputs": [TENSOR | {"parameters": None}], "id": None, "outputs": None}

    assert structure(value, InferenceRequest) == InferenceRequest(inputs=[TENSOR])


@pytest.mark.parametrize("data", [None, 5, "text", {"a": 1}, [[1], [2, 3]]])
def test_data_is_left_to_the_check_against_shape_and_datatype(data):
    made = structure({"inputs": [TENSOR | {"data": data}]}, InferenceRequest)

    assert made.inputs[0].data.root == data


def test_data_is_not_copied():
    data = [1.0] * 3

    assert structure(TENSOR | {"data": data}, RequestInput).data.root is data


def test_parameters_take_any_name_and_value():
    value = {"content_type": "np", "a": [1, {"b": None}], "self": 1}

    assert structure(value, Parameters) == Parameters(**value)


def test_any_mapping_is_an_object():
    assert structure(OrderedDict(text="a"), Facts) == Facts(text="a")


def test_a_datatype_may_come_as_member_or_name():
    assert structure(TENSOR | {"datatype": Datatype.INT8}, RequestInput).datatype is Datatype.INT8
    assert structure(TENSOR | {"datatype": "INT8"}, RequestInput).datatype is Datatype.INT8


def test_deep_parameters_are_kept_as_they_are():
    deep = []
    for _ in range(5000):
        deep = [deep]

    made = structure({"inputs": [], "parameters": {"a": deep}}, InferenceRequest)

    assert made.parameters.a is deep


def test_explain_gives_paths_and_reasons():
    assert explain({"count": "5", "names": [1]}, Facts) == [
        ("count", "expected an integer, got '5'"),
        ("names[0]", "expected a string, got 1"),
    ]
    assert explain({"count": 5}, Facts) == []
    assert explain("5", int) == [("", "expected an integer, got '5'")]


def test_a_problem_whose_text_has_the_mark_of_a_path_is_split_in_the_right_place():
    assert explain({"count": " @ $.here"}, Facts) == [
        ("count", "expected an integer, got ' @ $.here'")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ({}, "an object"),
        ([1], "a list"),
        ("a", "'a'"),
        (5, "5"),
        (0.5, "0.5"),
        ("x" * 58, "'" + "x" * 58 + "'"),
        ("x" * 59, "'" + "x" * 56 + "..."),
    ],
)
def test_show_quotes_values_briefly_in_the_words_of_json(value, text):
    assert show(value) == text
    assert len(text) <= 60


def test_dump_makes_lists_and_the_converter_keeps_arrays():
    array = np.array([[1.0, 2.0]])
    made = InferenceResponse(
        outputs=[{"name": "y", "shape": [1, 2], "datatype": "FP64", "data": array}]
    )

    assert dump(made) == {
        "outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP64", "data": [[1.0, 2.0]]}]
    }
    assert converter().unstructure(made)["outputs"][0]["data"] is array


def test_dump_leaves_out_none_unless_asked():
    made = MetadataServerResponse(name="a", version="b", extensions=[])

    assert dump(made) == {"name": "a", "version": "b", "extensions": []}
    assert dump(InferenceRequest(inputs=[]), exclude_none=False) == {
        "id": None,
        "parameters": None,
        "inputs": [],
        "outputs": None,
    }


def test_a_million_mistakes_are_told_as_the_first_twenty():
    problems = explain({"inputs": [0] * 200_000}, InferenceRequest)
    assert len(problems) == 20
    assert problems[-1] == ("inputs[19]", "expected an object, got 0")
