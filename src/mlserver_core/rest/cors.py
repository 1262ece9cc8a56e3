"""Cross-origin calls by browsers (Fetch standard, "CORS protocol")."""

from __future__ import annotations

import re

import attrs
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from mlserver_core.errors import InvalidRequest
from mlserver_core.rest.vary import add_vary
from mlserver_core.settings.server import CORSSettings

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
#: What may be sent without a word in the settings: what browsers send anyway, and what an
#: inference with binary tensors, a request id or a time limit needs.
_HEADERS = (
    "Accept",
    "Accept-Language",
    "Content-Language",
    "Content-Type",
    "Inference-Header-Content-Length",
    "X-Request-ID",
    "X-Request-Timeout",
)


@attrs.frozen
class CrossOrigin:
    """Answers preflights, and says on every answer which pages may read it."""

    settings: CORSSettings

    @property
    def answer_preflights(self) -> Middleware:
        """The middleware that does so."""

        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            return self._preflight(request) if _is_preflight(request) else await handler(request)

        return answer

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Puts the headers in front of an answer, errors and streams included."""
        if not self._is_for_all():
            add_vary(response, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not self._is_allowed(origin):
            return
        headers = response.headers
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if self._is_for_all() else origin
        exposed = self.settings.expose_headers
        if self.settings.allow_credentials:
            headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            if "*" in exposed:  # which is no wildcard where credentials are sent
                exposed = sorted(set(headers))
        if exposed and not _is_preflight(request):
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = ", ".join(exposed)

    def _preflight(self, request: web.Request) -> web.Response:
        """Says what a page may send; raises InvalidRequest, which names the setting."""
        origin = request.headers[hdrs.ORIGIN]
        method = request.headers[hdrs.ACCESS_CONTROL_REQUEST_METHOD]
        if not self._is_allowed(origin):
            raise _refused(f"the origin {origin!r}", "allow_origins")
        methods = self.settings.allow_methods
        if "*" in methods:
            methods = list(dict.fromkeys([*_METHODS, method]))
        if method not in methods:
            raise _refused(f"the method {method!r}", "allow_methods")
        answer = web.Response(status=200)
        answer.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ", ".join(methods)
        answer.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ", ".join(self._headers(request))
        answer.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(self.settings.max_age)
        add_vary(answer, hdrs.ACCESS_CONTROL_REQUEST_METHOD)
        add_vary(answer, hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
        return answer

    def _headers(self, request: web.Request) -> list[str]:
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        asked = [name.strip() for name in wanted.split(",") if name.strip()]
        if "*" in self.settings.allow_headers:
            return asked or list(_HEADERS)
        allowed = list(dict.fromkeys([*_HEADERS, *self.settings.allow_headers]))
        known = {name.lower() for name in allowed}
        for name in asked:
            if name.lower() not in known:
                raise _refused(f"the header {name!r}", "allow_headers")
        return allowed

    def _is_allowed(self, origin: str) -> bool:
        if "*" in self.settings.allow_origins or origin in self.settings.allow_origins:
            return True
        pattern = self.settings.allow_origin_regex
        return pattern is not None and re.fullmatch(pattern, origin) is not None

    def _is_for_all(self) -> bool:
        """Is every answer the same for every page? With credentials none is: the standard
        wants the page's own origin named then.
        """
        return "*" in self.settings.allow_origins and not self.settings.allow_credentials


def _is_preflight(request: web.Request) -> bool:
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ORIGIN in request.headers
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


def _refused(what: str, setting: str) -> InvalidRequest:
    return InvalidRequest(
        f"cross-origin requests: {what} is not allowed; the operator can allow it with "
        f"{setting} in cors_settings"
    )
