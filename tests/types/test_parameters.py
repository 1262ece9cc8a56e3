"""Parameters of requests, responses and tensors."""

import pytest

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Parameters
from mlserver_core.types.parameters import to_parameters


def test_a_dict_becomes_parameters():
    made = to_parameters({"content_type": "np", "headers": {"a": "b"}, "threshold": 0.5})

    assert made == Parameters(content_type="np", headers={"a": "b"}, threshold=0.5)


def test_parameters_and_none_are_left_alone():
    made = Parameters(a=1)

    assert to_parameters(made) is made
    assert to_parameters(None) is None


def test_an_empty_dict_is_empty_parameters():
    assert to_parameters({}) == Parameters()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"content_type": 5}, "content_type: expected a string, got 5"),
        ({"headers": []}, "headers: expected an object, got a list"),
        (
            {"content_type": True, "headers": "x"},
            "content_type: expected a string, got true; headers: expected an object, got 'x'",
        ),
        ("np", "expected an object, got 'np'"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(value, text):
    with pytest.raises(InvalidRequest) as caught:
        to_parameters(value)

    assert str(caught.value) == text


@pytest.mark.parametrize(
    "value", [None, True, 5, 2**70, 0.5, "text", b"bytes", [1, {"a": None}], {"a": [1]}]
)
def test_any_value_is_kept_as_it_is(value):
    made = to_parameters({"mine": value})

    assert made.mine == value
    assert type(made.mine) is type(value)
    assert made.model_dump()["mine"] == value


@pytest.mark.parametrize("name", ["self", "cls", "model_extra", "_decoded_payload", "a b"])
def test_any_name_may_be_that_of_a_parameter(name):
    made = Parameters(content_type="np", **{name: 1})

    assert made.model_extra == {name: 1}
    assert made.to_plain() == {"content_type": "np", name: 1}
