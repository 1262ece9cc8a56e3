"""How a call is received, answered and refused, whatever it is about."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from google.protobuf.message import DecodeError
from grpclib.const import Cardinality, Handler
from grpclib.exceptions import GRPCError
from grpclib.metadata import encode_metadata
from grpclib.server import Stream

from mlserver_core.engine.in_flight import InFlight
from mlserver_core.errors import InvalidRequest, MLServerError, TooLarge, Unsupported
from mlserver_core.grpc.errors import to_grpc_error
from mlserver_core.wire.headers import sendable

#: Answers one message with a message and trailing metadata.
Answer = Callable[[Any, "Stream[Any, Any]"], Awaitable[tuple[Any, Mapping[str, Any]]]]


@attrs.frozen
class Calls:
    """How the calls of one server are taken.

    Attributes:
        limit: bytes a request may have; -1 for no limit.
        in_flight: the calls whose answer is not written yet.
    """

    limit: int
    in_flight: InFlight

    def unary(self, answer: Answer, request_type: Any, reply_type: Any) -> Handler:
        """The grpclib handler of a call with one request and one reply.

        Args:
            answer: does the work; its errors become statuses.
            request_type: message class of the request.
            reply_type: message class of the reply.
        """

        async def serve(stream: Stream[Any, Any]) -> None:
            try:
                message = await receive(stream, request_type, self.limit)
                if message is None:
                    raise InvalidRequest("the call ended before a message came")
            except MLServerError as error:
                raise to_grpc_error(error) from error
            with self.in_flight:  # not before: a silent client holds up no stop
                try:
                    reply, trailers = await answer(message, stream)
                except GRPCError:
                    raise
                except Exception as error:
                    raise to_grpc_error(error) from error
                await stream.send_message(reply)
                if trailers:
                    await stream.send_trailing_metadata(metadata=to_metadata(trailers))

        return Handler(serve, Cardinality.UNARY_UNARY, request_type, reply_type)


async def receive(stream: Stream[Any, Any], message_type: Any, limit: int) -> Any:
    """The next message of a call; None when the client has sent its last.

    grpclib's own ``recv_message`` has no limit and fails on compression, so the frame
    (gRPC over HTTP/2, "Length-Prefixed-Message") is read here.

    Raises:
        TooLarge: the message is announced as larger than ``limit`` bytes.
        Unsupported: it is compressed.
        InvalidRequest: it is cut off, or no message of this type.
    """
    source = stream._stream  # noqa: SLF001  # the one way to the bytes
    try:
        prefix = await source.recv_data(5)
        if not prefix:
            return None
        compressed, size = struct.unpack(">BI", prefix)
        if compressed:
            raise Unsupported("compressed messages are not offered yet; send them plain")
        if 0 <= limit < size:
            raise TooLarge(
                f"the message has {size} bytes, more than grpc_max_message_length ({limit})"
            )
        data = await source.recv_data(size)
        if len(data) != size:
            raise InvalidRequest("the call ended within a message")
        return message_type.FromString(data)
    except AssertionError:  # grpclib's word for a stream that ended within a message
        raise InvalidRequest("the call ended within a message") from None
    except (DecodeError, ValueError) as error:
        raise InvalidRequest(f"the message cannot be parsed: {error}") from None


def read_headers(stream: Stream[Any, Any]) -> dict[str, str]:
    """The call's metadata as headers; of a repeated one the last counts."""
    headers = {
        name: value if isinstance(value, str) else value.hex()
        for name, value in (stream.metadata or {}).items()
    }
    if stream.user_agent:
        headers.setdefault("user-agent", stream.user_agent)
    return headers


def to_metadata(headers: Mapping[str, Any]) -> list[tuple[str, str | bytes]]:
    """Headers as trailing metadata; what gRPC cannot carry is left out."""
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in sendable(headers).items():
        key = name.lower()
        item: tuple[str, str | bytes] = (key, value.encode() if key.endswith("-bin") else value)
        try:
            encode_metadata([item])
        except ValueError:  # an empty value, or a name that is only HTTP's
            continue
        metadata.append(item)
    return metadata
