"""Types of the model repository."""

import pytest

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import (
    RepositoryIndexRequest,
    RepositoryIndexResponse,
    RepositoryIndexResponseItem,
    RepositoryLoadErrorResponse,
    RepositoryUnloadErrorResponse,
    State,
)
from mlserver_core.types.converter import structure

ITEM = {"name": "iris", "version": "v1", "state": "READY", "reason": ""}


@pytest.mark.parametrize("state", State)
def test_a_state_is_the_text_of_its_name(state):
    assert state == state.name
    assert f"{state}" == state.name


def test_an_item_converts_its_state():
    assert RepositoryIndexResponseItem(**ITEM).state is State.READY


def test_an_index_takes_dicts_and_instances():
    item = RepositoryIndexResponseItem(**ITEM)

    assert RepositoryIndexResponse(root=[ITEM]).root == [item]
    assert RepositoryIndexResponse(root=[item]).model_dump() == [ITEM]


def test_an_index_request_without_words_lists_all():
    assert structure({}, RepositoryIndexRequest).ready is None
    assert structure({"ready": False}, RepositoryIndexRequest).ready is False


@pytest.mark.parametrize(("value", "shown"), [("true", "'true'"), (1, "1"), ([], "a list")])
def test_ready_is_true_or_false_only(value, shown):
    with pytest.raises(InvalidRequest) as caught:
        structure({"ready": value}, RepositoryIndexRequest)

    assert str(caught.value) == f"ready: expected true or false, got {shown}"


def test_an_unknown_state_is_refused_with_its_place():
    with pytest.raises(InvalidRequest) as caught:
        structure(ITEM | {"state": "GONE"}, RepositoryIndexResponseItem)

    assert str(caught.value) == (
        "state: expected one of UNKNOWN, READY, UNAVAILABLE, LOADING, UNLOADING, got 'GONE'"
    )


@pytest.mark.parametrize("cls", [RepositoryLoadErrorResponse, RepositoryUnloadErrorResponse])
def test_error_objects_hold_one_text(cls):
    assert cls(error="no").model_dump() == {"error": "no"}
