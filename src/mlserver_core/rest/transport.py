"""Listens for REST."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any, cast

import attrs
from aiohttp import web

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.listener import Listener
from mlserver_core.rest.app import make_app
from mlserver_core.rest.custom import check_route
from mlserver_core.rest.errors import one_line, to_response
from mlserver_core.rest.fast_path import FAST_PATH
from mlserver_core.rest.keys import READING
from mlserver_core.rest.open_calls import OPEN_CALLS
from mlserver_core.rest.request_id import HEADER
from mlserver_core.settings import Settings
from mlserver_core.settings.listening import shown_host
from mlserver_core.types.request_ids import make_request_id

#: Seconds; aiohttp takes 0 for "for ever".
_SHORTEST = 0.1

logger = logging.getLogger("mlserver.rest")


class _Connection(web.RequestHandler):
    """A connection that also says in JSON what is wrong with bytes that are no HTTP request."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what no handler of ours has seen, in our shape instead of aiohttp's page.

        Raises:
            ConnectionError: an answer has begun; aiohttp closes the connection then.
        """
        if isinstance(exc, ConnectionError):  # logged already, and no other answer can begin
            raise exc
        text = "the request cannot be read as HTTP"
        if status == 400:
            logger.info("400 for %s: %s: %s", request.remote, text, one_line(message or ""))
        else:
            text = "internal error; the server's log has the details"
            logger.error("%d for %s: %s", status, request.remote, text, exc_info=exc)
        made = to_response(status, text)
        made.headers[HEADER] = make_request_id()
        made.force_close()
        return made

    def log_exception(self, *arguments: Any, **options: Any) -> None:
        """Logs what aiohttp met after an answer, unless it is the rest of a body that its client
        has broken: the answer has said so already.
        """
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*arguments, **options)


class _Server(web.Server):
    """Makes such connections."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    """Makes such a server; aiohttp has no other way to its connections."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        self.app[FAST_PATH].take_over(server)
        return server


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
    _runner: _Runner | None = attrs.field(default=None, init=False)
    _listener: Listener | None = attrs.field(default=None, init=False)

    @property
    def listening(self) -> str:
        """The start-up line."""
        return f"REST server listening on http://{shown_host(self.settings)}:{self.port}"

    async def start(self) -> None:
        """Begins to listen.

        Raises:
            StartupError: the address cannot be bound; says which setting to change.
        """
        app = make_app(self.settings, self.engine)
        self.engine.models.route_checks.append(partial(check_route, app))
        self._runner = _Runner(
            app,
            handler_cancellation=True,
            logger=logger,
            access_log=logger if self.settings.debug else None,
            shutdown_timeout=_SHORTEST,  # close() has waited by then
        )
        await self._runner.setup()
        server = cast("web.Server", self._runner.server)  # setup() has made it
        self._listener = Listener(self.settings, server, name="REST", setting="http_port")
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
        deadline = time.monotonic() + seconds
        self._runner.app[OPEN_CALLS].end()
        await self._finish_reading(seconds)
        seconds = deadline - time.monotonic()
        server = self._runner.server
        if server is not None:
            server.pre_shutdown()
            await server.shutdown(max(seconds, _SHORTEST))
        await self._runner.cleanup()
        self._runner = None

    async def _finish_reading(self, seconds: float) -> None:
        """Waits for the rest of requests that have begun to come: once aiohttp closes, it reads
        no more of them, and so their clients would get no answer.
        """
        if self._runner is not None and (reading := self._runner.app[READING]).count:
            logger.info("%d request(s) are still being read", reading.count)
            await reading.drained(seconds)
