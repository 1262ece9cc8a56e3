"""The Vary header, which tells caches what an answer depends on."""

from __future__ import annotations

from aiohttp import hdrs, web


def add_vary(response: web.StreamResponse, name: str) -> None:
    """Adds the name of a request header to what is there already (RFC 9110, section 12.5.5)."""
    there = response.headers.get(hdrs.VARY, "")
    names = [each.strip() for each in there.split(",") if each.strip()]
    if "*" not in names and name.lower() not in map(str.lower, names):
        response.headers[hdrs.VARY] = ", ".join([*names, name])
