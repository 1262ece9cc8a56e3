"""Listens for those who collect metrics."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any, cast

import attrs
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from mlserver_core.listener import Listener
from mlserver_core.settings import Settings
from mlserver_core.settings.listening import shown_host

#: Seconds; aiohttp takes 0 for "for ever".
_SHORTEST = 0.1
_GZIP_LEVEL = 5


@attrs.define(eq=False)
class MetricsTransport:
    """The metrics listener of one server.

    Attributes:
        settings: of the server.
        registry: what it shows.
        port: the port it listens on, once started.
    """

    settings: Settings
    registry: CollectorRegistry
    port: int = attrs.field(default=0, init=False)
    _runner: web.AppRunner | None = attrs.field(default=None, init=False)
    _listener: Listener | None = attrs.field(default=None, init=False)

    @property
    def listening(self) -> str:
        """The start-up line."""
        address = f"http://{shown_host(self.settings)}:{self.port}"
        return f"Metrics server listening on {address}{self.settings.metrics_endpoint}"

    async def start(self) -> None:
        """Begins to listen.

        Raises:
            StartupError: the address cannot be bound; says which setting to change.
        """
        app = web.Application()
        app.router.add_get(str(self.settings.metrics_endpoint), self.get_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHORTEST)
        await self._runner.setup()
        server = cast("web.Server", self._runner.server)  # setup() has made it
        self._listener = Listener(self.settings, server, name="Metrics", setting="metrics_port")
        await self._listener.start()
        self.port = self._listener.port

    async def stop_listening(self) -> None:
        """Takes no more connections."""
        if self._listener is not None:
            await self._listener.stop()

    async def close(self, seconds: float) -> None:
        """Closes every connection, once its answers are written, and after ``seconds`` anyway."""
        if self._runner is None:
            return
        server = self._runner.server
        if server is not None:
            server.pre_shutdown()
            await server.shutdown(max(seconds, _SHORTEST))
        await self._runner.cleanup()
        self._runner = None

    async def get_metrics(self, request: web.Request) -> web.Response:
        """Everything, as Prometheus's text or, for who accepts that, as OpenMetrics."""
        as_openmetrics = _accepts(request, "Accept", "application/openmetrics-text")
        zipped = _accepts(request, "Accept-Encoding", "gzip")
        # In a thread: many series take their time.
        body = await asyncio.to_thread(
            _render, self.registry, as_openmetrics=as_openmetrics, zipped=zipped
        )
        kind = openmetrics.CONTENT_TYPE_LATEST if as_openmetrics else CONTENT_TYPE_PLAIN_0_0_4
        headers = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)


def _accepts(request: web.Request, header: str, wanted: str) -> bool:
    given = ",".join(request.headers.getall(header, [])).split(",")
    return any(each.partition(";")[0].strip().lower() == wanted for each in given)


def _render(registry: CollectorRegistry, *, as_openmetrics: bool, zipped: bool) -> bytes:
    write: Any = openmetrics.generate_latest if as_openmetrics else generate_latest
    body: bytes = write(registry)
    return gzip.compress(body, _GZIP_LEVEL) if zipped else body
