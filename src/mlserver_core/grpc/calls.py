"""How a call is answered, whatever it is about."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from grpclib.const import Cardinality, Handler
from grpclib.metadata import encode_bin_value, encode_metadata

from mlserver_core.engine.in_flight import InFlight
from mlserver_core.errors import InvalidRequest, TooLarge
from mlserver_core.grpc.call import Call
from mlserver_core.wire.headers import sendable

#: Answers one message with a message and trailing metadata.
Answer = Callable[[Any, Call], Awaitable[tuple[Any, Mapping[str, Any]]]]


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

        async def serve(call: Call) -> None:
            message = await call.receive(request_type, self.limit)
            if message is None:
                raise InvalidRequest("the call ended before a message came")
            self.count(call)
            reply, trailers = await answer(message, call)
            await call.answer(reply, to_metadata(trailers))

        return Handler(serve, Cardinality.UNARY_UNARY, request_type, reply_type)

    def count(self, call: Call) -> None:
        """From now on the call is in flight, until its trailers are written.

        Not before its first message: a silent client holds up no stop.
        """
        call.work.enter_context(self.in_flight)


def check_size(call: Call, limit: int | None, model: str) -> None:
    """Raises TooLarge if the last message has more bytes than its model takes.

    Args:
        call: has the message.
        limit: bytes; None where the model says nothing of it.
        model: its name.
    """
    if limit is not None and call.received_bytes > limit:
        raise TooLarge(
            f"the message has {call.received_bytes} bytes, more than max_body_size ({limit}) of "
            f"model {model!r}"
        )


def read_headers(call: Call) -> dict[str, str]:
    """The call's metadata as headers; of a repeated one the last counts."""
    headers = {
        name: value if isinstance(value, str) else value.hex()
        for name, value in (call.metadata or {}).items()
    }
    if call.user_agent:
        headers.setdefault("user-agent", call.user_agent)
    return headers


def to_metadata(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Headers as trailing metadata, encoded; what gRPC cannot carry is left out."""
    metadata = []
    for name, given in sendable(headers).items():
        key = name.lower()
        if not _is_metadata(key):
            continue
        if key.endswith("-bin"):
            metadata.append((key, encode_bin_value(given.encode()).decode()))
        elif value := given.strip():  # HTTP/2 has no spaces around a value, and gRPC no empty one
            metadata.append((key, value))
    return metadata


@functools.lru_cache(maxsize=1024)
def _is_metadata(name: str) -> bool:
    """Whether metadata may have a name; some are only HTTP's."""
    try:
        encode_metadata([(name, b"" if name.endswith("-bin") else "value")])
    except ValueError:
        return False
    return True
