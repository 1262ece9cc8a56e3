"""Listens for gRPC."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from typing import Any

import attrs
from grpclib.encoding.base import CodecBase
from grpclib.server import Server

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.engine.in_flight import InFlight
from mlserver_core.grpc import health, service
from mlserver_core.grpc.calls import Calls
from mlserver_core.grpc.connection import GrpcConnection
from mlserver_core.grpc.handling import CallHandler
from mlserver_core.grpc.health import HealthService
from mlserver_core.grpc.messages import load_messages
from mlserver_core.grpc.metrics import count_calls
from mlserver_core.grpc.reflection import ReflectionService
from mlserver_core.grpc.service import InferenceService
from mlserver_core.listener import Listener
from mlserver_core.settings import Settings
from mlserver_core.settings.listening import shown_host

logger = logging.getLogger("mlserver.grpc")

DEFAULT_LIMIT = 64 * 2**20
#: Seconds between two looks at what is unsent.
_PERIOD = 0.01
#: Seconds that calls which are given up, and then closed connections, may take to be gone.
_LONGEST_CLOSE = 1.0
_REFLECTION = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


class MessageCodec(CodecBase):
    """Messages to bytes and back; upb's classes and betterproto's have the same two methods."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        """The bytes of a message."""
        data: bytes = message.SerializeToString()
        return data

    def decode(self, data: bytes, message_type: Any) -> Any:
        """The message in some bytes; raises DecodeError or ValueError."""
        return message_type.FromString(data)


class GrpcServer(Server):
    """grpclib's server, mended where a client could end a connection or hold up a stop."""

    def __init__(self, services: list[Any]) -> None:
        super().__init__(services, codec=MessageCodec())
        # With grpclib's "ascii" one header byte above 127 breaks off every call on the
        # connection; latin-1 reads any byte.
        self._h2_config.header_encoding = "latin-1"
        self._protocols: weakref.WeakSet[GrpcConnection] = weakref.WeakSet()

    def make_connection(self) -> GrpcConnection:
        """What takes the bytes of one client."""
        self.__gc_step__()
        handler = CallHandler(
            self._mapping, self._codec, self._status_details_codec, self.__dispatch__
        )
        self._handlers.add(handler)
        connection = GrpcConnection(handler, self._config, self._h2_config)
        self._protocols.add(connection)
        return connection

    async def end_calls(self, seconds: float) -> None:
        """Gives up what is still open; its clients are told, unless that takes ``seconds``."""
        handlers = (each for each in self._handlers if isinstance(each, CallHandler))
        ended = [task for handler in handlers for task in handler.end_calls()]
        if ended:
            await asyncio.wait(ended, timeout=seconds)

    def unsent(self) -> int:
        """Bytes that are written and not yet with the system."""
        connections = (protocol.connection for protocol in self._open())
        return sum(each._transport.get_write_buffer_size() for each in connections)  # noqa: SLF001

    async def close_connections(self) -> None:
        """Closes every connection once what is written is sent, and waits for the calls.

        No GOAWAY goes before: grpclib's own client drops an answer that it has received but not
        read when it sees one.
        """
        handlers = list(self._handlers)
        for handler in handlers:
            handler.close()
        for protocol in self._open():
            protocol.processor.close("the server stops")
        for handler in handlers:
            await handler.wait_closed()

    def _open(self) -> list[GrpcConnection]:
        made = (each for each in list(self._protocols) if hasattr(each, "processor"))
        return [each for each in made if not each.connection.is_closing()]


@attrs.define(eq=False)
class GrpcTransport:
    """The gRPC listener of one server.

    Attributes:
        settings: of the server.
        engine: answers.
        port: the port it listens on, once started.
    """

    settings: Settings
    engine: InferenceEngine
    port: int = attrs.field(default=0, init=False)
    _server: GrpcServer | None = attrs.field(default=None, init=False)
    _listener: Listener | None = attrs.field(default=None, init=False)
    _in_flight: InFlight = attrs.field(factory=InFlight, init=False)

    @property
    def listening(self) -> str:
        """The start-up line."""
        return f"gRPC server listening on {shown_host(self.settings)}:{self.port}"

    async def start(self) -> None:
        """Begins to listen.

        Raises:
            StartupError: the address cannot be bound; says which setting to change.
        """
        self._server = GrpcServer(self._services())
        make = self._server.make_connection
        self._listener = Listener(self.settings, make, name="gRPC", setting="grpc_port")
        await self._listener.start()
        self.port = self._listener.port

    async def stop_listening(self) -> None:
        """Takes no more connections."""
        if self._listener is not None:
            await self._listener.stop()

    async def close(self, seconds: float) -> None:
        """Closes every connection, once its answers are written, and after ``seconds`` anyway."""
        if self._server is None:
            return
        server, self._server = self._server, None
        deadline = time.monotonic() + seconds
        await self._in_flight.drained(seconds)
        await server.end_calls(_LONGEST_CLOSE)
        while server.unsent() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_PERIOD)  # nothing tells when a buffer is empty
        try:
            await asyncio.wait_for(server.close_connections(), _LONGEST_CLOSE)
        except asyncio.TimeoutError:
            logger.warning("A gRPC client does not take its answer; its connection is left")

    def _services(self) -> list[Any]:
        messages = load_messages()
        limit = self.settings.grpc_max_message_length
        names = [service.NAME, service.OLD_REPOSITORY, health.NAME]
        names += [f"{package}.ServerReflection" for package in _REFLECTION]
        calls = Calls(DEFAULT_LIMIT if limit is None else limit, self._in_flight)
        services = [
            InferenceService(self.engine, messages, calls),
            HealthService(self.engine, messages, calls, names),
            *(ReflectionService(messages, names, package) for package in _REFLECTION),
        ]
        return count_calls(services, self.engine.metrics)
