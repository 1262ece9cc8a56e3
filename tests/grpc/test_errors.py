from __future__ import annotations

import logging

import pytest
from grpclib.const import Status

from mlserver_core.errors import ErrorCode, MLServerError, ModelNotFound
from mlserver_core.grpc.errors import STATUS, to_grpc_error


def test_every_error_code_has_a_row():
    assert set(STATUS) == set(ErrorCode)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MLServerError("x"), Status.INVALID_ARGUMENT),
        (MLServerError("x", 404), Status.NOT_FOUND),
        (MLServerError("x", 422), Status.FAILED_PRECONDITION),
        (MLServerError("x", 429), Status.RESOURCE_EXHAUSTED),
        (MLServerError("x", 500), Status.INTERNAL),
        (MLServerError("x", 418), Status.UNKNOWN),
        (ModelNotFound("x"), Status.NOT_FOUND),
    ],
)
def test_status_of_an_error(error, status):
    made = to_grpc_error(error)
    assert (made.status, made.message) == (status, str(error))


def test_text_is_short_enough_for_trailers():
    assert len(to_grpc_error(MLServerError("x" * 100_000)).message) == 2000


def test_error_that_is_none_of_ours_is_logged_and_not_shown(caplog):
    with caplog.at_level(logging.ERROR, "mlserver.grpc"):
        made = to_grpc_error(KeyError("secret"))
    assert made.status is Status.INTERNAL
    assert "secret" not in made.message
    assert "secret" in caplog.text
