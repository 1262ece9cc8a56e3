"""Counts what comes in over REST."""

from __future__ import annotations

import asyncio
import time

import attrs
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry

from mlserver_core.metrics.series import Counter, Gauge, Histogram
from mlserver_core.rest.keys import ENGINE, MATCHED
from mlserver_core.settings import Settings

#: MLServer's value of the label ``app_name``.
_APP = "mlserver"
#: Probes ask these all the time.
_UNCOUNTED = frozenset({"/v2/health/live", "/v2/health/ready"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Stand for every other method, and for every path that leads nowhere.
_OTHER, _UNKNOWN = "other", "unknown"
#: The status of a request whose client has left.
CLIENT_LEFT = 499


@attrs.define(eq=False)
class RestMetrics:
    """The metrics of one REST listener.

    No label has a value of the client's choice: clients could make series without end.

    Attributes:
        prefix: what the names begin with.
        registry: where they go.
    """

    prefix: str
    registry: CollectorRegistry
    _requests: Counter = attrs.field(init=False)
    _seconds: Histogram = attrs.field(init=False)
    _in_progress: Gauge = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        labels = ("method", "path", "status_code", "app_name")
        self._requests = Counter(
            f"{self.prefix}_requests", "HTTP requests.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            f"{self.prefix}_request_duration_seconds",
            "Seconds until HTTP requests were answered.",
            labels,
            registry=self.registry,
        )
        self._in_progress = Gauge(
            f"{self.prefix}_requests_in_progress",
            "HTTP requests that are being answered.",
            ("method", "app_name"),
            registry=self.registry,
        )

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts a request; to stand outside of what makes answers of errors."""
        if request.path in _UNCOUNTED:
            return await handler(request)
        method = request.method if request.method in _METHODS else _OTHER
        status = 500
        started = self.begin(method)
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        except asyncio.CancelledError:
            status = CLIENT_LEFT
            raise
        finally:
            self.end(method, _template(request), status, started)

    def begin(self, method: str) -> float:
        """Counts a request as begun; returns when, in seconds of ``time.perf_counter()``."""
        self._in_progress.labels(method, _APP).inc()
        return time.perf_counter()

    def end(self, method: str, path: str, status: int, started: float) -> None:
        """Counts a request as answered.

        Args:
            method: of HTTP.
            path: as it stands in the route.
            status: of HTTP.
            started: what ``begin`` gave.
        """
        self._in_progress.labels(method, _APP).dec()
        labels = (method, path, str(status), _APP)
        self._requests.labels(*labels).inc()
        self._seconds.labels(*labels).observe(time.perf_counter() - started)


def count_requests(app: web.Application, settings: Settings) -> RestMetrics | None:
    """Has an application's requests counted; None where metrics are switched off."""
    metrics = app[ENGINE].metrics
    if metrics is None:
        return None
    made = RestMetrics(settings.metrics_rest_server_prefix, metrics.registry)
    app.middlewares.insert(0, made.count)
    return made


def _template(request: web.Request) -> str:
    """The path as it stands in the route: with the names of variables, not their values."""
    resource = request.match_info.route.resource
    if resource is not None:
        return resource.canonical
    found = request.get(MATCHED)
    return _UNKNOWN if found is None else found.custom.rest_path
