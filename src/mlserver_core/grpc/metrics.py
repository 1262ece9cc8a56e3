"""Counts the calls that come in over gRPC, with the names that gRPC's own interceptors use."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import attrs
import h2.exceptions
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from prometheus_client import CollectorRegistry

from mlserver_core.errors import MLServerError
from mlserver_core.grpc.call import Call
from mlserver_core.grpc.errors import to_status
from mlserver_core.metrics.registry import Metrics
from mlserver_core.metrics.series import Counter, Histogram

_LABELS = ("grpc_type", "grpc_service", "grpc_method")
_TYPES = {
    Cardinality.UNARY_UNARY: "UNARY",
    Cardinality.UNARY_STREAM: "SERVER_STREAMING",
    Cardinality.STREAM_UNARY: "CLIENT_STREAMING",
    Cardinality.STREAM_STREAM: "BIDI_STREAMING",
}
#: Probes ask these all the time.
_UNCOUNTED_SERVICE = "grpc.health.v1.Health"
_UNCOUNTED_METHODS = frozenset({"ServerLive", "ServerReady"})


@attrs.define(eq=False)
class GrpcMetrics:
    """The metrics of one gRPC listener; only methods that there are get series.

    Attributes:
        registry: where they go.
    """

    registry: CollectorRegistry
    started: Counter = attrs.field(init=False)
    handled: Counter = attrs.field(init=False)
    received: Counter = attrs.field(init=False)
    sent: Counter = attrs.field(init=False)
    seconds: Histogram = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        where = self.registry
        self.started = Counter("grpc_server_started", "Calls begun.", _LABELS, registry=where)
        self.handled = Counter(
            "grpc_server_handled",
            "Calls ended, with their status.",
            (*_LABELS, "grpc_code"),
            registry=where,
        )
        self.received = Counter(
            "grpc_server_msg_received", "Messages received.", _LABELS, registry=where
        )
        self.sent = Counter("grpc_server_msg_sent", "Messages sent.", _LABELS, registry=where)
        self.seconds = Histogram(
            "grpc_server_handling_seconds", "Seconds that calls took.", _LABELS, registry=where
        )

    def counted(self, path: str, handler: Handler) -> Handler:
        """A handler that does the same and is counted; one that probes call comes back as it is.

        Args:
            path: ``/SERVICE/METHOD``.
            handler: of that method.
        """
        _, service, method = path.split("/")
        if service == _UNCOUNTED_SERVICE or method in _UNCOUNTED_METHODS:
            return handler
        labels = (_TYPES[handler.cardinality], service, method)
        function = _count(self, labels, handler.func)
        return Handler(function, handler.cardinality, handler.request_type, handler.reply_type)


@attrs.frozen(eq=False)
class CountedService:
    """A gRPC service whose calls are counted.

    Attributes:
        service: what answers.
        metrics: what counts.
    """

    service: Any
    metrics: GrpcMetrics

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by path, as grpclib asks for them."""
        mapping = self.service.__mapping__()
        return {path: self.metrics.counted(path, handler) for path, handler in mapping.items()}


def count_calls(services: Iterable[Any], metrics: Metrics | None) -> list[Any]:
    """The services with their calls counted, unless metrics are switched off."""
    if metrics is None:
        return list(services)
    made = GrpcMetrics(metrics.registry)
    return [CountedService(service, made) for service in services]


def _count(
    metrics: GrpcMetrics, labels: tuple[str, str, str], function: Callable[[Any], Awaitable[None]]
) -> Callable[[Call], Awaitable[None]]:
    started, seconds = metrics.started.labels(*labels), metrics.seconds.labels(*labels)
    received, sent = metrics.received.labels(*labels), metrics.sent.labels(*labels)

    handled = functools.cache(lambda status: metrics.handled.labels(*labels, status.name))

    async def counted(call: Call) -> None:
        call.on_received, call.on_sent = received.inc, sent.inc
        started.inc()
        begun = time.perf_counter()
        failure: BaseException | None = None
        try:
            await function(call)
        except BaseException as error:
            failure = error
            raise
        finally:
            seconds.observe(time.perf_counter() - begun)
            handled(_status(failure, call)).inc()

    return counted


def _status(error: BaseException | None, call: Call) -> Status:
    """What the client gets to see, or would if it had not left."""
    if call.ended is not None:
        return call.ended.status
    if error is None:
        return Status.OK
    if isinstance(error, GRPCError):
        return error.status
    if isinstance(error, MLServerError):
        return to_status(error)
    if isinstance(error, (asyncio.CancelledError, h2.exceptions.ProtocolError)):
        return Status.CANCELLED
    return Status.INTERNAL
