"""What clients are told while the server ends: an answer is the last one on its connection."""

from __future__ import annotations

from aiohttp import hdrs, web

from mlserver_core.rest.keys import ENGINE

_SWITCHING_PROTOCOLS = 101


async def close_connection(request: web.Request, response: web.StreamResponse) -> None:
    """Ends the connection with this answer, and says so, once the server has begun to stop; runs
    before its headers are sent (RFC 9112, section 9.6).

    So the client asks elsewhere, and never on a connection that the server is about to close.
    """
    if request.app[ENGINE].draining and response.status != _SWITCHING_PROTOCOLS:
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"  # aiohttp has made up its mind by now
