"""The documentation endpoints: pages for people, OpenAPI documents for tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
from aiohttp import web

from mlserver_core.rest.health import to_json
from mlserver_core.rest.keys import ENGINE
from mlserver_core.rest.openapi.document import (
    CustomPath,
    Site,
    describe_model,
    describe_server,
    list_routes,
)
from mlserver_core.rest.openapi.schemas import Schema
from mlserver_core.rest.pages import interactive_page, plain_page
from mlserver_core.rest.swagger_ui import find_files, is_interactive

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@attrs.frozen(kw_only=True)
class _Docs:
    """What the handlers below need.

    Attributes:
        files: what the pages may load, by name.
        custom: tells what the models bring along right now.
    """

    files: dict[str, Path]
    custom: Callable[[], Iterable[CustomPath]]


_DOCS = web.AppKey("docs", _Docs)


def add_routes(app: web.Application, custom: Callable[[], Iterable[CustomPath]] = tuple) -> None:
    """Adds the documentation endpoints.

    Args:
        app: their application, whose routes they describe.
        custom: tells which calls the models bring along; asked for every document.
    """
    app[_DOCS] = _Docs(files=find_files(), custom=custom)
    app.router.add_get("/v2/docs", get_server_page)
    app.router.add_get("/v2/docs/dataplane.json", get_server_document)
    app.router.add_get("/openapi.json", get_server_document)
    app.router.add_get("/v2/docs/static/{file}", get_file)
    model = "/v2/models/{model_name}"
    for path in (model, model + "/versions/{model_version}"):
        app.router.add_get(path + "/docs", get_model_page)
        app.router.add_get(path + "/docs/dataplane.json", get_model_document)


async def get_server_document(request: web.Request) -> web.Response:
    """``GET /v2/docs/dataplane.json`` and ``GET /openapi.json``: all calls as OpenAPI."""
    return to_json(describe_server(_site(request)))


async def get_model_document(request: web.Request) -> web.Response:
    """``GET /v2/models/NAME[/versions/VERSION]/docs/dataplane.json``: a model's calls."""
    return to_json(await _model_document(request))


async def get_server_page(request: web.Request) -> web.Response:
    """``GET /v2/docs``: all calls, for people."""
    return _to_page(request, describe_server(_site(request)))


async def get_model_page(request: web.Request) -> web.Response:
    """``GET /v2/models/NAME[/versions/VERSION]/docs``: a model's calls, for people."""
    return _to_page(request, await _model_document(request))


async def get_file(request: web.Request) -> web.FileResponse:
    """``GET /v2/docs/static/FILE``: what the pages load; no other file can be had."""
    path = request.app[_DOCS].files.get(request.match_info["file"])
    if path is None:
        raise web.HTTPNotFound(text=f"there is nothing at {request.path}")
    headers = {"Cache-Control": "public, max-age=3600", "Content-Type": _MEDIA[path.suffix]}
    return web.FileResponse(path, headers={**_HEADERS, **headers})


async def _model_document(request: web.Request) -> Schema:
    name, version = request.match_info["model_name"], request.match_info.get("model_version")
    metadata = await request.app[ENGINE].metadata(name, version)
    return describe_model(_site(request), attrs.evolve(metadata, name=name), version)


def _site(request: web.Request) -> Site:
    settings = request.app[ENGINE].settings
    return Site(
        routes=list_routes(request.app),
        version=settings.server_version,
        root=_root(settings.root_path),
        custom=tuple(request.app[_DOCS].custom()),
    )


def _root(root_path: str) -> str:
    """With one slash in front and none at the end; empty for none."""
    return "/" + root_path.strip("/") if root_path.strip("/") else ""


def _to_page(request: web.Request, document: Schema) -> web.Response:
    root = _root(request.app[ENGINE].settings.root_path)
    make = interactive_page if is_interactive(request.app[_DOCS].files) else plain_page
    page = make(document, static=f"{root}/v2/docs/static", path=root + request.rel_url.raw_path)
    return web.Response(text=page, content_type="text/html", headers=_HEADERS)
