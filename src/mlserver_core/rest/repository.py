"""The model repository over REST."""

from __future__ import annotations

from aiohttp import web

from mlserver_core.rest.body import read_body
from mlserver_core.rest.health import to_json
from mlserver_core.rest.infer import read_headers
from mlserver_core.rest.keys import ENGINE
from mlserver_core.types import RepositoryIndexRequest
from mlserver_core.wire.json import decode


async def post_index(request: web.Request) -> web.Response:
    """``POST /v2/repository/index``: the models and their states."""
    wanted = decode(await read_body(request), read_headers(request), RepositoryIndexRequest)
    items = await request.app[ENGINE].index(ready=bool(wanted.ready))
    return to_json([item.model_dump() for item in items])


async def post_load(request: web.Request) -> web.Response:
    """``POST /v2/repository/models/NAME/load``: loads the model, or loads it anew."""
    await request.app[ENGINE].load_model(request.match_info["model_name"])
    return web.Response()


async def post_unload(request: web.Request) -> web.Response:
    """``POST /v2/repository/models/NAME/unload``: unloads every version of the model."""
    await request.app[ENGINE].unload_model(request.match_info["model_name"])
    return web.Response()
