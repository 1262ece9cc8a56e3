from __future__ import annotations

import pytest

from mlserver_core.engine.model_context import ModelContext
from mlserver_core.engine.model_table import ModelEntry, ModelTable, Serving
from mlserver_core.errors import ModelNotFound
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import State


def entry(name, version=None, *, ready=True, state=State.READY):
    settings = ModelSettings(name=name, implementation=MLModel, parameters={"version": version})
    model = MLModel(settings)
    model.ready = ready
    serving = Serving(model=model, context=ModelContext(), infer=None, infer_stream=None, call=None)
    return ModelEntry(settings=settings, state=state, serving=serving)


def table(*entries):
    made = ModelTable()
    for each in entries:
        made = made.with_entry(each)
    return made


def test_the_default_is_the_newest_version():
    made = table(entry("m", "v10"), entry("m", "v9"), entry("m", "v2"))
    assert made.find("m").settings.version == "v10"
    assert made.find("m", "").settings.version == "v10"
    assert made.find("m", "v9").settings.version == "v9"


def test_the_unversioned_entry_is_the_default_where_there_is_one():
    assert table(entry("m", "2"), entry("m"), entry("m", "3")).find("m").settings.version is None


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("x", None, "Model x not found"),
        ("x", "1", "Model x with version 1 not found"),
        ("m", "3", "Model m with version 3 not found"),
    ],
)
def test_what_is_not_there_is_not_found(name, version, text):
    with pytest.raises(ModelNotFound) as raised:
        table(entry("m", "2")).find(name, version)
    assert str(raised.value) == text


def test_versions_are_those_that_can_answer_oldest_first():
    made = table(
        entry("m", "10"),
        entry("m", "2"),
        entry("m"),
        entry("m", "3", ready=False),
        entry("m", "4", state=State.LOADING),
    )
    assert made.versions("m") == ["2", "10"]


def test_an_entry_replaces_the_one_of_its_name_and_version_and_leaves_the_old_table_alone():
    old = table(entry("m", "1"), entry("n"))
    replacement = entry("m", "1", state=State.UNAVAILABLE)
    new = old.with_entry(replacement)
    assert new.find("m", "1") is replacement
    assert old.find("m", "1").state is State.READY
    assert new.find("n") is old.find("n")


def test_entries_come_in_order_of_name_and_version():
    made = table(entry("n"), entry("m", "v10"), entry("m", "v9"))
    listed = [(each.settings.name, each.settings.version) for each in made]
    assert listed == [("m", "v9"), ("m", "v10"), ("n", None)]


@pytest.mark.parametrize(
    ("ready", "state", "can_answer"),
    [
        (True, State.READY, True),
        (False, State.READY, False),
        (True, State.LOADING, False),
        (True, State.UNAVAILABLE, False),
    ],
)
def test_an_entry_can_answer_when_it_is_loaded_and_its_model_says_so(ready, state, can_answer):
    assert entry("m", ready=ready, state=state).ready is can_answer


def test_an_entry_without_a_model_cannot_answer():
    settings = ModelSettings(name="m", implementation=MLModel)
    assert not ModelEntry(settings=settings, state=State.READY).ready
