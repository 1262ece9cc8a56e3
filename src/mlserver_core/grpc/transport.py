"""Listens for gRPC."""

from __future__ import annotations

from typing import Any

import attrs
from grpclib.encoding.base import CodecBase
from grpclib.server import Server

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.errors import StartupError
from mlserver_core.grpc import health, service
from mlserver_core.grpc.health import HealthService
from mlserver_core.grpc.messages import load_messages
from mlserver_core.grpc.reflection import ReflectionService
from mlserver_core.grpc.service import InferenceService
from mlserver_core.settings import Settings

DEFAULT_LIMIT = 64 * 2**20
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
    """grpclib's server, mended where a client's bytes could end a connection or a start."""

    def __init__(self, services: list[Any]) -> None:
        super().__init__(services, codec=MessageCodec())
        # With grpclib's "ascii" one header byte above 127 breaks off every call on the
        # connection; latin-1 reads any byte.
        self._h2_config.header_encoding = "latin-1"

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        sockets = getattr(self._server, "sockets", ())
        return sockets[0].getsockname()[1] if sockets else 0

    def stop_listening(self) -> None:
        """Takes no more connections; calls in flight go on."""
        if self._server is not None:
            self._server.close()


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

    @property
    def listening(self) -> str:
        """The start-up line."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"gRPC server listening on {host}:{self.port}"

    async def start(self) -> None:
        """Begins to listen.

        Raises:
            StartupError: the address cannot be bound; says which setting to change.
        """
        server = GrpcServer(self._services())
        try:
            await server.start(self.settings.host, self.settings.grpc_port)
        except OSError as error:
            raise StartupError(
                f"gRPC cannot listen on {self.settings.host}:{self.settings.grpc_port}: "
                f"{error.strerror or error}; set grpc_port (MLSERVER_GRPC_PORT) to a free port, "
                "or to 0 for any"
            ) from None
        self._server = server
        self.port = server.port

    async def stop_listening(self) -> None:
        """Takes no more connections."""
        if self._server is not None:
            self._server.stop_listening()

    async def close(self) -> None:
        """Cancels what is left and closes every connection."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def _services(self) -> list[Any]:
        messages = load_messages()
        limit = self.settings.grpc_max_message_length
        names = [service.NAME, service.OLD_REPOSITORY, health.NAME]
        names += [f"{package}.ServerReflection" for package in _REFLECTION]
        return [
            InferenceService(self.engine, messages, DEFAULT_LIMIT if limit is None else limit),
            HealthService(self.engine, messages, names),
            *(ReflectionService(messages, names, package) for package in _REFLECTION),
        ]
