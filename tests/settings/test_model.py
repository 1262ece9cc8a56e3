"""A model's settings as a class."""

import copy
import pickle
from pathlib import Path

import attrs
import pytest

from mlserver_core.errors import InvalidRequest
from mlserver_core.settings import ArtifactPolicy, ModelParameters, ModelSettings
from mlserver_core.types import MetadataTensor

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}


def test_only_the_implementation_is_required():
    made = ModelSettings(implementation="sklearn")

    assert (made.name, made.platform, made.versions) == ("", "", [])
    assert (made.inputs, made.outputs, made.parameters) == ([], [], None)
    assert made.predict_threads == 1
    with pytest.raises(TypeError, match="implementation"):
        ModelSettings()


def test_dicts_become_what_they_describe():
    made = ModelSettings(
        implementation="sklearn",
        inputs=[TENSOR],
        outputs=[MetadataTensor(**TENSOR)],
        parameters={"uri": "./m", "threshold": 0.5},
    )

    assert made.inputs == made.outputs == [MetadataTensor(**TENSOR)]
    assert made.parameters == ModelParameters(uri="./m", threshold=0.5)


def test_setters_convert_as_the_constructor_does():
    made = ModelSettings(implementation="sklearn")
    made.inputs = [TENSOR]
    made.outputs = (TENSOR,)
    made.parameters = {"version": "v1"}

    assert made.inputs == made.outputs == [MetadataTensor(**TENSOR)]
    assert made.version == "v1"


def test_parameters_of_another_type_are_refused_with_their_place():
    with pytest.raises(InvalidRequest) as caught:
        ModelSettings(implementation="sklearn", parameters={"uri": 5, "extra": []})

    assert str(caught.value) == (
        "uri: expected a string, got 5; extra: expected an object, got a list"
    )


@pytest.mark.parametrize(
    ("values", "shown"),
    [({"parameters": {"uri": "a\0b"}}, "'a\\x00b'"), ({"warmup": ["a", "b\0"]}, "'b\\x00'")],
)
def test_names_of_files_have_no_nul(values, shown):
    with pytest.raises(Exception, match="NUL") as caught:
        ModelSettings(implementation="sklearn", **values)
    assert str(caught.value) == f"expected a name without NUL characters, got {shown}"


def test_predict_threads_below_one_are_refused():
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        ModelSettings(implementation="sklearn", predict_threads=0)


def test_version_is_that_of_the_parameters():
    assert ModelSettings(implementation="a").version is None
    assert ModelSettings(implementation="a", parameters={}).version is None
    assert ModelSettings(implementation="a", parameters={"version": "3"}).version == "3"


def test_folder_is_that_of_the_file():
    made = ModelSettings(implementation="a", source=Path("/models/iris/model-settings.json"))

    assert made.folder == Path("/models/iris")
    assert ModelSettings(implementation="a").folder is None


def test_source_is_text_under_the_name_that_runtimes_of_mlserver_use():
    made = ModelSettings(implementation="a", source=Path("/models/iris/model-settings.json"))

    assert made._source == "/models/iris/model-settings.json"
    assert ModelSettings(implementation="a")._source is None


def test_where_settings_came_from_does_not_make_them_different():
    one = ModelSettings(implementation="a", source=Path("/a/model-settings.json"))
    two = ModelSettings(implementation="a", policy=ArtifactPolicy(allow_pickle=False))

    assert one == two


@pytest.mark.parametrize(
    "way", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_copies_are_equal(way):
    made = ModelSettings(
        implementation="a", inputs=[TENSOR], parameters={"uri": "u", "extra": {"k": [1]}, "mine": 1}
    )

    assert way(made) == made
    assert way(made).parameters.mine == 1


def test_parameters_have_no_shared_defaults():
    ModelParameters().extra["a"] = 1

    assert ModelParameters().extra == {}


def test_a_policy_cannot_be_changed():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ArtifactPolicy().allow_pickle = False


@pytest.mark.parametrize("name", ["..", ".", "a/b", "..\\b", "a\nb", "x" * 256])
def test_a_name_or_version_that_could_lead_elsewhere_is_refused(name):
    with pytest.raises(ValueError, match="expected a name"):
        ModelSettings(implementation="a", name=name)
    with pytest.raises((ValueError, InvalidRequest), match="expected a name"):
        ModelSettings(implementation="a", parameters={"version": name})


@pytest.mark.parametrize("name", ["iris", "v1.0", "..iris", "Grüße", "a b", "x" * 255])
def test_any_other_name_is_taken(name):
    made = ModelSettings(implementation="a", name=name, parameters={"version": name})
    assert (made.name, made.version) == (name, name)
