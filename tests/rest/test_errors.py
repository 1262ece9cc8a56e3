from __future__ import annotations

import pytest

from mlserver_core.errors import ErrorCode, MLServerError, ModelNotFound
from mlserver_core.rest.errors import STATUS, to_status


def test_every_error_code_has_a_row():
    assert set(STATUS) == set(ErrorCode)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MLServerError("x"), 400),
        (MLServerError("x", 418), 418),
        (MLServerError("x", status_code=503), 503),
        (MLServerError("x", 200), 500),
        (MLServerError("x", 42), 500),
        (ModelNotFound("x"), 404),
    ],
)
def test_status_of_an_error(error, status):
    assert to_status(error) == status
