"""The standard health service (grpc.health.v1), for probes and load balancers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import attrs
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from mlserver_core.engine.engine import InferenceEngine
from mlserver_core.grpc.call import Call
from mlserver_core.grpc.calls import Calls
from mlserver_core.grpc.messages import Messages

NAME = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3

#: Seconds between two looks of a Watch; a runtime may lower its readiness at any time.
_PERIOD = 1.0


@attrs.frozen(eq=False)
class HealthService:
    """Says SERVING while the server is ready.

    Attributes:
        engine: knows.
        messages: the classes of the messages.
        calls: how calls are taken.
        services: the names that may be asked for besides the empty one.
    """

    engine: InferenceEngine
    messages: Messages
    calls: Calls
    services: Collection[str]

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by path, as grpclib asks for them."""
        request_type = self.messages.get("grpc.health.v1.HealthCheckRequest")
        reply_type = self.messages.get("grpc.health.v1.HealthCheckResponse")
        return {
            f"/{NAME}/Check": self.calls.unary(self.check, request_type, reply_type),
            f"/{NAME}/Watch": Handler(
                self.watch, Cardinality.UNARY_STREAM, request_type, reply_type
            ),
        }

    async def check(self, message: Any, call: Call) -> tuple[Any, Mapping[str, Any]]:
        """The state now; NOT_FOUND for a service that is not here."""
        status = self._status(message.service)
        if status == SERVICE_UNKNOWN:
            raise GRPCError(Status.NOT_FOUND, f"there is no service {message.service!r}")
        return self._reply(status), {}

    async def watch(self, call: Call) -> None:
        """The state now, and again whenever it has changed, until the client leaves."""
        request_type = self.messages.get("grpc.health.v1.HealthCheckRequest")
        message = await call.receive(request_type, self.calls.limit)
        service = message.service if message is not None else ""
        sent = None
        while True:
            status = self._status(service)
            if status != sent:
                await call.send_message(self._reply(status))
                sent = status
            await asyncio.sleep(_PERIOD)

    def _status(self, service: str) -> int:
        if service and service not in self.services:
            return SERVICE_UNKNOWN
        return SERVING if self.engine.ready() else NOT_SERVING

    def _reply(self, status: int) -> Any:
        return self.messages.get("grpc.health.v1.HealthCheckResponse")(status=status)
