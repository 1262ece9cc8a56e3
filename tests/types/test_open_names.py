"""Objects that take any name: what is kept, what is read back, what stays the class's own."""

import copy
import pickle

import pytest

from mlserver_core.settings import ModelParameters
from mlserver_core.types import Parameters
from mlserver_core.types.converter import structure
from mlserver_core.types.open_names import known_names

OPEN = [Parameters, ModelParameters]
AWKWARD = [
    "self",
    "cls",
    "values",
    "",
    "two words",
    "naïve",
    "_private",
    "__class__",
    "__dict__",
    "__init__",
    "__slots__",
    "__attrs_init__",
    "__attrs_attrs__",
    "to_plain",
    "model_dump",
]
COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("cls", OPEN)
def test_unknown_names_read_back_as_attributes(cls):
    made = cls(threshold=0.5, labels=["a"])

    assert made.threshold == 0.5
    assert made.labels == ["a"]
    assert made.model_extra == {"threshold": 0.5, "labels": ["a"]}


@pytest.mark.parametrize("cls", OPEN)
def test_a_name_that_was_not_given_is_an_attribute_error(cls):
    with pytest.raises(AttributeError) as caught:
        cls().threshold  # noqa: B018  # reading is the test

    assert str(caught.value) == f"{cls.__name__} has no 'threshold'"
    assert getattr(cls(), "threshold", 7) == 7
    assert not hasattr(cls(), "threshold")


@pytest.mark.parametrize("cls", OPEN)
def test_setting_an_unknown_name_keeps_it(cls):
    made = cls()
    made.threshold = 0.5
    made.content_type = "np"

    assert made.model_extra == {"threshold": 0.5}
    assert made.content_type == "np"
    assert made == cls(threshold=0.5, content_type="np")


def test_known_names_are_fields_and_no_extras():
    made = Parameters(content_type="np", headers={"a": "b"})

    assert made.model_extra == {}
    assert (made.content_type, made.headers) == ("np", {"a": "b"})


def test_known_names_lists_the_fields_in_order():
    assert known_names(Parameters) == ("content_type", "headers")


def test_model_extra_is_no_shared_default():
    Parameters().model_extra["a"] = 1

    assert Parameters().model_extra == {}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("cls", OPEN)
def test_awkward_names_are_kept_and_change_nothing_else(cls, name, way):
    made = cls(**{name: "value"})

    assert type(made) is cls
    assert made.model_extra == {name: "value"}
    assert made.to_plain()[name] == "value"
    assert made == cls(**{name: "value"})
    assert made != cls()
    copied = COPIES[way](made)
    assert type(copied) is cls
    assert copied == made
    assert repr(copied) == repr(made)


@pytest.mark.parametrize("name", [*AWKWARD, "model_extra"])
@pytest.mark.parametrize("cls", OPEN)
def test_awkward_names_from_json_are_kept(cls, name):
    made = structure({name: "value"}, cls)

    assert type(made) is cls
    assert made.to_plain()[name] == "value"


def test_a_parameter_called_model_extra_does_not_replace_the_others():
    made = Parameters(model_extra={"a": 1}, b=2)

    assert made.to_plain() == {"model_extra": {"a": 1}, "b": 2}
    assert Parameters.model_validate(made.to_plain()) == made


@pytest.mark.parametrize("name", ["self", "two words", "values", "_private"])
def test_names_that_the_class_does_not_have_read_back(name):
    assert getattr(Parameters(**{name: "value"}), name) == "value"


def test_setting_dunder_class_does_not_change_the_type():
    made = Parameters()
    made.__class__ = "value"

    assert type(made) is Parameters
    assert made.model_extra == {"__class__": "value"}


def test_equality_compares_fields_and_extras():
    assert Parameters(a=1, content_type="np") == Parameters(content_type="np", a=1)
    assert Parameters(a=1) != Parameters(a=2)
    assert Parameters(a=1) != Parameters(b=1)
    assert Parameters(content_type="np") != Parameters(content_type="str")
    assert Parameters(a=1) != {"a": 1}
    assert Parameters() != ModelParameters()


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("cls", OPEN)
def test_a_copy_has_names_of_its_own(cls, way):
    made = cls(a=1)

    copied = COPIES[way](made)
    copied.b = 2

    assert made.model_extra == {"a": 1}
    assert copied.model_extra == {"a": 1, "b": 2}


def test_deep_copies_share_nothing_and_shallow_ones_share_values():
    made = Parameters(labels=["a"])

    assert copy.deepcopy(made).labels is not made.labels
    assert copy.copy(made).labels is made.labels


def test_a_name_can_be_deleted_again():
    made = Parameters(a=1, b=2)

    del made.a

    assert made.model_extra == {"b": 2}


def test_repr_shows_what_is_set():
    made = Parameters(content_type="np", threshold=0.5)

    assert repr(made) == "Parameters(content_type='np', threshold=0.5)"


def test_to_plain_leaves_out_unset_fields_but_keeps_none_of_the_caller():
    assert Parameters(a=None).to_plain() == {"a": None}
