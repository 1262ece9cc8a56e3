from __future__ import annotations

import re

import pytest

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.rest.app import make_app
from mlserver_core.rest.openapi.document import list_routes
from mlserver_core.rest.openapi.operations import (
    ERRORS,
    OPERATIONS,
    TAGS,
    UNLISTED,
    find_operation,
)
from mlserver_core.settings import Settings


@pytest.fixture
async def routes(start):
    engine: InferenceEngine = await start()
    return list_routes(make_app(Settings(), engine))


def test_every_route_is_described(routes):
    assert len(routes) >= 18
    undescribed = [
        f"{method} {path}"
        for method, path in routes
        if find_operation(method, path) is None and f"{method} {path}" not in UNLISTED
    ]
    assert undescribed == []


def test_every_described_route_is_there(routes):
    served = {
        f"{method} {path.replace('/versions/{model_version}', '')}" for method, path in routes
    }
    assert served >= set(OPERATIONS)
    assert served >= UNLISTED


def test_each_operation_has_an_id_of_its_own_and_a_known_group(routes):
    found = [find_operation(method, path) for method, path in routes]
    ids = [operation.id for operation in found if operation is not None]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z_]+", id) for id in ids)
    assert {operation.tag for operation in OPERATIONS.values()} == set(TAGS) - {"custom"}


def test_every_error_of_an_operation_has_a_text():
    assert {status for each in OPERATIONS.values() for status in each.errors} == set(ERRORS)


def test_call_for_one_version_says_so():
    found = find_operation("GET", "/v2/models/{model_name}/versions/{model_version}/ready")
    assert found.id == "model_version_ready"
    assert found.summary == "Can the model answer? (one version)"


def test_unknown_route_has_no_operation():
    assert find_operation("GET", "/v3") is None
