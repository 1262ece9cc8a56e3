"""The model repository over REST."""

from __future__ import annotations

from aiohttp import web

from mlserver_core.errors import Unsupported
from mlserver_core.rest.body import read_body
from mlserver_core.rest.health import to_json
from mlserver_core.rest.infer import read_headers
from mlserver_core.rest.keys import ENGINE
from mlserver_core.types import RepositoryIndexRequest
from mlserver_core.wire.json import decode


async def post_index(request: web.Request) -> web.Response:
    """``POST /v2/repository/index``: the models and their states."""
    wanted = decode(await read_body(request), read_headers(request), RepositoryIndexRequest)
    items = request.app[ENGINE].index(ready=bool(wanted.ready))
    return to_json([item.model_dump() for item in items])


async def post_load_or_unload(request: web.Request) -> web.Response:
    """``POST /v2/repository/models/NAME/load`` and ``.../unload``: not offered yet."""
    raise Unsupported("loading and unloading of models by a call is not offered yet")
