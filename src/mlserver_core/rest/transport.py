"""Listens for REST."""

from __future__ import annotations

import logging

import attrs
from aiohttp import web

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.errors import StartupError
from mlserver_core.rest.app import make_app
from mlserver_core.settings import Settings


@attrs.define(eq=False)
class RestTransport:
    """The REST listener of one server.

    Attributes:
        settings: of the server.
        engine: answers.
        port: the port it listens on, once started.
    """

    settings: Settings
    engine: InferenceEngine
    port: int = attrs.field(default=0, init=False)
    _runner: web.AppRunner | None = attrs.field(default=None, init=False)
    _site: web.TCPSite | None = attrs.field(default=None, init=False)

    @property
    def listening(self) -> str:
        """The start-up line."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"REST server listening on http://{host}:{self.port}"

    async def start(self) -> None:
        """Begins to listen.

        Raises:
            StartupError: the address cannot be bound; says which setting to change.
        """
        self._runner = web.AppRunner(
            make_app(self.settings, self.engine),
            handler_cancellation=True,
            access_log=logging.getLogger("mlserver.rest") if self.settings.debug else None,
            shutdown_timeout=0.1,  # by then the server has waited for what was in flight
        )
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, self.settings.host, self.settings.http_port)
        try:
            await self._site.start()
        except OSError as error:
            raise StartupError(
                f"REST cannot listen on {self.settings.host}:{self.settings.http_port}: "
                f"{error.strerror or error}; set http_port (MLSERVER_HTTP_PORT) to a free port, "
                "or to 0 for any"
            ) from None
        self.port = self._runner.addresses[0][1]

    async def stop_listening(self) -> None:
        """Takes no more connections."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    async def close(self) -> None:
        """Closes every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
