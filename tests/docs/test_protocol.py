from __future__ import annotations

from pathlib import Path

import pytest

from mlserver_core.errors import ErrorCode
from mlserver_core.grpc.errors import STATUS as GRPC_STATUS
from mlserver_core.rest.errors import STATUS as REST_STATUS

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.name)
def test_every_error_is_documented_with_both_its_statuses(code):
    assert f"\n| `{code.name}` | {REST_STATUS[code]} | {GRPC_STATUS[code].name} | " in PAGE
