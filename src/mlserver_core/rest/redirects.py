"""Paths with a slash too many."""

from __future__ import annotations

from aiohttp import hdrs, web

from mlserver_core.rest.keys import ENGINE


async def without_slash(request: web.Request) -> str | None:
    """Where to find what is asked for with a slash at the end: the path without it.

    None where nothing is there either. A path that begins with two slashes is no path but a
    host to a browser, so such a one is never an answer.
    """
    path = request.rel_url.raw_path
    shorter = path.rstrip("/")
    if shorter == path or not shorter or path.startswith("//"):
        return None
    url = request.rel_url.with_path(shorter, encoded=True)
    match = await request.app.router.resolve(request.clone(rel_url=url))
    engine = request.app[ENGINE]
    missing = match.http_exception is not None and match.http_exception.status == 404
    if missing and not engine.route_methods(url.path_safe):
        return None
    root = engine.settings.root_path.strip("/")
    query = request.rel_url.raw_query_string
    return (f"/{root}" if root else "") + shorter + (f"?{query}" if query else "")


def redirect(location: str) -> web.Response:
    """An answer that keeps the method and the body (RFC 9110, section 15.4.8)."""
    return web.Response(status=307, headers={hdrs.LOCATION: location})
