"""Health and metadata over REST."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from mlserver_core.rest.infer import asked_model
from mlserver_core.rest.keys import ENGINE
from mlserver_core.wire.json import encode


async def get_live(request: web.Request) -> web.Response:
    """``GET /v2/health/live``: the process answers."""
    return to_json({"live": True})


async def get_ready(request: web.Request) -> web.Response:
    """``GET /v2/health/ready``: 200 when every expected model can answer, else 400."""
    return _readiness({}, ready=request.app[ENGINE].ready())


async def get_model_ready(request: web.Request) -> web.Response:
    """``GET /v2/models/NAME[/versions/VERSION]/ready``: 200, or 400 when it cannot answer."""
    name, version = asked_model(request)
    return _readiness({"name": name}, ready=request.app[ENGINE].model_ready(name, version))


async def get_server_metadata(request: web.Request) -> web.Response:
    """``GET /v2``: name, version and protocol extensions of the server."""
    return to_json(request.app[ENGINE].server_metadata().model_dump())


async def get_model_metadata(request: web.Request) -> web.Response:
    """``GET /v2/models/NAME[/versions/VERSION]``: versions and tensors of a model."""
    metadata = await request.app[ENGINE].metadata(*asked_model(request))
    return to_json(metadata.model_dump())


def to_json(value: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(status=status, body=encode(value), content_type="application/json")


def _readiness(facts: dict[str, Any], *, ready: bool) -> web.Response:
    return to_json({**facts, "ready": ready}, 200 if ready else 400)
