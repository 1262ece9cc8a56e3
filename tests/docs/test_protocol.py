from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlserver_core.errors import ErrorCode
from mlserver_core.grpc.errors import STATUS as GRPC_STATUS
from mlserver_core.rest.app import make_app
from mlserver_core.rest.errors import STATUS as REST_STATUS
from mlserver_core.rest.openapi.document import list_routes

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
CALL = re.compile(r"`(GET|POST) (/\S+)`")


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.name)
def test_every_error_is_documented_with_both_its_statuses(code):
    assert f"\n| `{code.name}` | {REST_STATUS[code]} | {GRPC_STATUS[code].name} | " in PAGE


def with_and_without_version(path):
    """The paths that a cell with ``[/versions/V]`` stands for."""
    return {path.replace("[/versions/V]", ""), path.replace("[", "").replace("]", "")}


async def test_the_table_of_rest_calls_has_every_route_and_no_other(start):
    engine = await start()
    names = {"model_name": "M", "model_version": "V", "file": "FILE"}
    there = {
        (method, path.format_map(names))
        for method, path in list_routes(make_app(engine.settings, engine))
    }
    rows = re.findall(r"^\| (`(?:GET|POST) .*?) \|", PAGE, re.MULTILINE)
    documented = {
        (method, each)
        for method, path in CALL.findall("\n".join(rows))
        for each in with_and_without_version(path)
    }
    assert documented == there
