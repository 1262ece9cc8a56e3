"""One call: grpclib's stream, with what grpclib does not do on it."""

from __future__ import annotations

import asyncio
import re
import struct
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.message import DecodeError
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.metadata import decode_metadata, encode_grpc_message
from grpclib.server import Stream

from mlserver_core.errors import InvalidRequest, TooLarge
from mlserver_core.grpc.compression import ACCEPTED, compress, decompress, reply_encoding

if TYPE_CHECKING:
    from mlserver_core.grpc.connection import CallStream

#: A timeout (gRPC over HTTP/2, "Timeout"), and what its units are in seconds.
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}

_PLAIN_HEADERS = ((":status", "200"), ("content-type", "application/grpc+proto"))
_ACCEPTED = ("grpc-accept-encoding", ACCEPTED)
_OK = ("grpc-status", str(Status.OK.value))

#: Seconds within which a call is answered that may wait for others which came with it.
_SHORT = 0.001
#: Seconds that a client has to end its side of a call that is answered. grpclib's client loses
#: the answers when it is reset before.
_PATIENCE = 3.0


class Call(Stream[Any, Any]):
    """A call from its headers to its trailers.

    Attributes:
        expires: when the caller no longer waits, as ``time.monotonic()`` tells it; None for never.
        trailers: metadata that goes out with the status, whatever that is; encoded.
        begun: when its task began.
        work: what is held until the trailers are written, such as a place among what is in flight.
        ended: why the server gave the call up; None while it has not.
        received_bytes: of the last message, decompressed.
        on_received, on_sent: are told of every message.
    """

    expires: float | None = None
    trailers: Collection[tuple[str, str]] = ()
    ended: GRPCError | None = None
    received_bytes = 0
    _finishing = False
    _encoding: str | None = None
    _reply_encoding: str | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.begun = time.monotonic()
        self.work = ExitStack()
        self.on_received: Callable[[], object] | None = None
        self.on_sent: Callable[[], object] | None = None

    def open(self, headers: Collection[tuple[str, str]]) -> None:
        """Takes over what the request's headers say.

        Raises:
            InvalidRequest: a timeout, or binary metadata, that cannot be read.
        """
        by_name = dict(headers)
        self.user_agent = by_name.get("user-agent")
        self._encoding = by_name.get("grpc-encoding")
        self._reply_encoding = reply_encoding(by_name)
        if "grpc-timeout" in by_name:
            self.expires = time.monotonic() + _read_timeout(by_name["grpc-timeout"])
        try:
            self.metadata = decode_metadata(headers)
        except ValueError as error:
            raise InvalidRequest(f"the binary metadata cannot be read: {error}") from None

    def end(self, task: asyncio.Task[None], reason: GRPCError) -> None:
        """Gives the call up: what works on it is cancelled, and the client is told why."""
        if self.ended is None and not self._finishing:
            self.ended = reason
            task.cancel()

    async def receive(self, message_type: Any, limit: int) -> Any:
        """The next message of the call; None when the client has sent its last.

        grpclib's own ``recv_message`` has no limit and fails on compression, so the frame
        (gRPC over HTTP/2, "Length-Prefixed-Message") is read here.

        Args:
            message_type: the class of the message.
            limit: bytes it may have, decompressed; -1 for no limit.

        Raises:
            TooLarge: the message is larger.
            Unsupported: it is compressed in a way that is not offered.
            InvalidRequest: it is cut off, or no message of this type.
        """
        try:
            data = await self._receive_data(limit)
            if data is None:
                return None
            self.received_bytes = len(data)
            if self.on_received is not None:
                self.on_received()
            return message_type.FromString(data)
        except (DecodeError, ValueError) as error:
            raise InvalidRequest(f"the message cannot be parsed: {error}") from None

    async def _receive_data(self, limit: int) -> bytes | bytearray | None:
        prefix = await self._stream.recv_data(5)
        if not prefix:
            return None
        flag, size = struct.unpack(">BI", prefix)
        if flag > 1:
            raise InvalidRequest(f"a message begins with byte {flag}; expected 0 or 1")
        if 0 <= limit < size:
            raise TooLarge(
                f"the message has {size} bytes, more than grpc_max_message_length ({limit})"
            )
        data = await self._stream.recv_data(size)
        if len(data) != size:
            raise InvalidRequest("the call ended within a message")
        return await decompress(self._encoding, data, limit) if flag else data

    async def send_initial_metadata(self, *, metadata: object = None) -> None:
        """The headers of the reply, with what grpclib leaves to us: the encodings."""
        await self._stream.send_headers(self._headers())
        self._send_initial_metadata_done = True

    def _headers(self) -> list[tuple[str, str]]:
        headers = [*_PLAIN_HEADERS, _ACCEPTED]
        if self._reply_encoding is not None:
            headers.append(("grpc-encoding", self._reply_encoding))
        return headers

    async def answer(self, message: Any, trailers: Collection[tuple[str, str]]) -> None:
        """Sends the only message of a call and what follows it, in one piece if there is room.

        Args:
            message: the message.
            trailers: metadata that goes out with the status.
        """
        body = await self._encode(message)
        self.trailers = trailers
        stream = cast("CallStream", self._stream)
        soon = time.monotonic() - self.begun < _SHORT
        if stream.send_answer(self._headers(), body, [_OK, *trailers], soon=soon):
            self._send_trailing_metadata_done = True
            self._sent()
        else:
            await self._send(body)

    async def send_message(self, message: Any) -> None:
        """Sends a message, compressed as the client's are where that makes it smaller."""
        await self._send(await self._encode(message))

    async def _encode(self, message: Any) -> bytes:
        data = self._codec.encode(message, self._send_type)
        encoding = self._reply_encoding
        compressed = None if encoding is None else await compress(encoding, data)
        body = data if compressed is None else compressed
        return struct.pack(">BI", compressed is not None, len(body)) + body

    async def _send(self, body: bytes) -> None:
        if not self._send_initial_metadata_done:
            await self.send_initial_metadata()
        await self._stream.send_data(body)
        self._sent()

    def _sent(self) -> None:
        self._send_message_done = True
        if self.on_sent is not None:
            self.on_sent()

    async def finish(self, failure: GRPCError | None) -> None:
        """Sends the status and the trailing metadata, unless that is done."""
        self._finishing = True
        if not self._send_trailing_metadata_done:
            await self._send_status(failure)
        if self._stream.closable:
            asyncio.get_running_loop().call_later(_PATIENCE, self._reset)

    async def _send_status(self, failure: GRPCError | None) -> None:
        status = Status.OK if failure is None else failure.status
        if status is Status.UNIMPLEMENTED and not self._send_initial_metadata_done:
            await self.send_initial_metadata()  # the client sees there what it may send
        trailers = [] if self._send_initial_metadata_done else list(_PLAIN_HEADERS)
        trailers.append(("grpc-status", str(status.value)))
        if failure is not None and failure.message is not None:
            trailers.append(("grpc-message", encode_grpc_message(failure.message.strip())))
        await self._stream.send_headers([*trailers, *self.trailers], end_stream=True)
        self._send_trailing_metadata_done = True
        if failure is not None and self._stream.closable:
            self._stream.reset_nowait()

    def _reset(self) -> None:
        """Tells a client that still sends to stop (gRPC over HTTP/2, "Early Server Closure")."""
        if self._stream.closable:
            self._stream.reset_nowait()


def _read_timeout(text: str) -> float:
    found = _TIMEOUT.fullmatch(text)
    if found is None:
        raise InvalidRequest(
            f"grpc-timeout: expected up to 8 digits and one of H, M, S, m, u, n; got {text[:20]!r}"
        )
    return int(found[1]) * _SECONDS[found[2]]
