"""Calls a model over gRPC."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import attrs
from google.protobuf.message import DecodeError
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.metadata import encode_metadata

from mlserver_core.cli.inference.client import CallFailed, parse_retry_after, tls_context
from mlserver_core.cli.inference.options import Options
from mlserver_core.errors import InvalidRequest
from mlserver_core.grpc.messages import load_messages
from mlserver_core.types import InferenceRequest, InferenceResponse
from mlserver_core.wire.protobuf_client import decode_response, encode_request

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
#: Statuses after which the same call may succeed.
_PASSING = frozenset({Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED, Status.DEADLINE_EXCEEDED})
#: Of those, the one that may also mean that a message is too large.
_MAY_BE_SIZE = Status.RESOURCE_EXHAUSTED


@attrs.frozen
class GrpcClient:
    """Calls ModelInfer; see ``Client``.

    Attributes:
        channel: the connection, opened by the first call and after each loss.
        method: the call, of the message classes of ``mlserver_core.grpc.messages``.
        options: model, headers, timeout, and whether tensors go raw.
        headers: sent with every call.
    """

    channel: Channel
    method: UnaryUnaryMethod[Any, Any]
    options: Options
    headers: Mapping[str, str]

    async def infer(
        self, request: InferenceRequest, headers: Mapping[str, str]
    ) -> InferenceResponse:
        """One ModelInfer; raises as ``Client`` says."""
        message = self.method.request_type(
            model_name=self.options.model_name, model_version=self.options.model_version
        )
        encode_request(request, message, raw=self.options.binary_data)
        metadata = to_metadata({**self.headers, **headers})
        reply = await self._call(message, metadata)
        try:
            return decode_response(reply)
        except InvalidRequest as error:
            raise CallFailed(f"the answer cannot be read: {error}", may_split=True) from None

    async def close(self) -> None:
        """Closes the connection."""
        self.channel.close()

    async def _call(self, message: Any, metadata: list[tuple[str, str | bytes]]) -> Any:
        stream = self.method.open(timeout=self.options.timeout, metadata=metadata)
        try:
            async with stream:
                await stream.send_message(message, end=True)
                reply = await stream.recv_message()
        except GRPCError as error:
            raise _failure(error, stream.trailing_metadata) from None
        except asyncio.TimeoutError:
            raise CallFailed(
                f"no answer within {self.options.timeout} seconds", may_retry=True
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise CallFailed(f"no secure connection: {error}") from None
        except (OSError, StreamTerminatedError, ProtocolError) as error:
            raise CallFailed(f"no connection: {error}", may_retry=True) from None
        except DecodeError as error:
            raise CallFailed(f"the answer cannot be read: {error}", may_split=True) from None
        if reply is None:
            raise CallFailed("the call ended without an answer", may_retry=True)
        return reply


def open_grpc_client(options: Options) -> GrpcClient:
    """A client for the options' server and model.

    Raises:
        InvalidRequest: URL or headers cannot be used.
    """
    host, port = options.grpc_address()
    headers = options.headers()
    to_metadata(headers)
    context = None
    if options.secure():
        context = tls_context(insecure=options.insecure)
        context.set_alpn_protocols(["h2"])
    channel = Channel(host, port, ssl=context)
    messages = load_messages()
    method = UnaryUnaryMethod[Any, Any](
        channel,
        _METHOD,
        messages.get("inference.ModelInferRequest"),
        messages.get("inference.ModelInferResponse"),
    )
    return GrpcClient(channel, method, options, headers)


def to_metadata(headers: Mapping[str, str]) -> list[tuple[str, str | bytes]]:
    """Headers as metadata; raises InvalidRequest for one that gRPC does not carry."""
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in headers.items():
        item = (name, value.encode() if name.endswith("-bin") else value)
        try:
            encode_metadata([item])
        except ValueError as error:
            raise InvalidRequest(f"header {name!r} cannot be sent over gRPC: {error}") from None
        metadata.append(item)
    return metadata


def _failure(error: GRPCError, trailers: Any) -> CallFailed:
    passing = error.status in _PASSING
    return CallFailed(
        f"{error.status.name}: {error.message or 'no reason given'}",
        may_retry=passing,
        may_split=not passing or error.status is _MAY_BE_SIZE,
        retry_after=parse_retry_after((trailers or {}).get("retry-after")),
    )
