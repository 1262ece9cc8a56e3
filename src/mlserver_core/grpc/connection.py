"""The HTTP/2 connection of one client: what it may send, and how much of it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, cast

from grpclib.protocol import Connection, EventsProcessor, H2Protocol, Stream, _set_nodelay
from h2.events import DataReceived, Event
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes, Settings

from mlserver_core.grpc.handling import MOST_CALLS
from mlserver_core.grpc.http2 import Headers, ServerConnection
from mlserver_core.grpc.received import Received

#: Bytes of one call that may wait to be read. A model that is slow with its stream holds its
#: client up after so many.
_STREAM_WINDOW = 4 * 2**20
#: Bytes of a whole connection that may wait: streams that are held up leave room for others.
_CONNECTION_WINDOW = 64 * 2**20
#: Bytes of a frame. h2 keeps up to 64 frames of headers before it looks at them.
_LARGEST_FRAME = 2**20
#: Bytes of answers that wait to go out together.
_MOST_WAITING = 2**16
#: Bytes of a call's headers, as HTTP/2 counts them (RFC 9113, section 6.5.2).
_LARGEST_HEADERS = 64 * 2**10


class _Settings(Settings):
    """What a client is told. h2 would close the connection over one call too many.

    A client may send that before it has read what it is told, so the handler refuses the call.
    """

    @property
    def max_concurrent_streams(self) -> int:
        return 2**32

    @max_concurrent_streams.setter
    def max_concurrent_streams(self, value: int) -> None:
        self[SettingCodes.MAX_CONCURRENT_STREAMS] = value


class CallStream(Stream):
    """grpclib's stream with a buffer of ours, and with answers in one piece."""

    def init_stream(self, stream_id: int, connection: Connection) -> None:
        """As grpclib does it, which has no place to pass a buffer."""
        self.id = stream_id
        self.buffer = Received(partial(connection.ack, stream_id))  # type: ignore[assignment]  # for Buffer
        connection.streams_started += 1
        self.created = connection.last_stream_created = time.monotonic()

    def send_answer(self, headers: Headers, data: bytes, trailers: Headers, *, soon: bool) -> bool:
        """Sends all of an answer in one piece; False where that has to wait for the client.

        Args:
            headers: of the reply.
            data: the message.
            trailers: with the status.
            soon: other answers may go out with this one.
        """
        made, stream_id = cast("ServerConnection", self._h2_connection), cast("int", self.id)
        if not self.connection.write_ready.is_set():
            return False
        if stream_id not in made.streams:  # h2 would begin a new one
            raise StreamClosedError(stream_id)
        room = min(made.local_flow_control_window(stream_id), made.max_outbound_frame_size)
        if len(data) > room:
            return False
        made.send_answer(stream_id, headers, data, trailers)
        self.data_sent += len(data)
        self.connection.data_sent += len(data)
        self.connection.headers_send_process()
        self.connection.data_send_process()
        cast("_CallConnection", self.connection).flush_answers(len(data), soon=soon)
        return True


class _CallConnection(Connection):
    """grpclib's connection, which writes the answers of calls that come together together.

    It also tells the client why it is closed; grpclib leaves h2's last frame unsent.
    """

    _waiting = 0
    _flushes = False

    def flush_answers(self, size: int, *, soon: bool) -> None:
        """Writes what there is, at the latest once the tasks that are ready now have run.

        Args:
            size: bytes of an answer.
            soon: it may wait for others, unless they are many bytes.
        """
        self._waiting += size
        if not soon or self._waiting > _MOST_WAITING:
            self.flush()
        else:
            self._flush_soon()

    def ack(self, stream_id: int, size: int) -> None:
        if size:
            self._connection.acknowledge_received_data(size, stream_id)
            self._flush_soon()  # at once, it would take the answers that wait along

    def flush(self) -> None:
        self._waiting = 0
        if hasattr(self, "_transport"):
            super().flush()

    def _flush_soon(self) -> None:
        if not self._flushes:
            self._flushes = True
            asyncio.get_running_loop().call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flushes = False
        self.flush()

    def create_stream(self, *, stream_id: int | None = None, wrapper: Any = None) -> Stream:
        return CallStream(
            self, self._connection, self._transport, stream_id=stream_id, wrapper=wrapper
        )

    def close(self) -> None:
        if not self.is_closing():
            self.flush()
        super().close()


class _Processor(EventsProcessor):
    """Takes what HTTP/2 allows and grpclib fails on."""

    def process(self, event: Event) -> None:
        # Frames of an unknown type have no meaning (RFC 9113, section 5.5).
        if type(event) in getattr(self, "processors", ()):
            super().process(event)

    def process_data_received(self, event: DataReceived) -> None:
        if event.flow_controlled_length:  # grpclib takes an empty frame for the end
            super().process_data_received(event)


class GrpcConnection(H2Protocol):
    """grpclib's connection with limits, and with a window that one slow call cannot fill."""

    def data_received(self, data: bytes) -> None:
        """Writes what there is before: h2 forgets it when the client says goodbye."""
        self.connection.flush()
        super().data_received(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says what the client may send, before it sends anything."""
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _set_nodelay(sock)
        made = ServerConnection(self.h2_config, _LARGEST_HEADERS)
        made.local_settings = _Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MOST_CALLS,
                SettingCodes.MAX_HEADER_LIST_SIZE: _LARGEST_HEADERS,
                SettingCodes.MAX_FRAME_SIZE: _LARGEST_FRAME,
                SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
            },
        )
        made.max_inbound_frame_size = _LARGEST_FRAME
        made.initiate_connection()
        made.increment_flow_control_window(_CONNECTION_WINDOW - made.inbound_flow_control_window)
        self.connection = _CallConnection(
            made, cast("asyncio.Transport", transport), config=self.config
        )
        self.connection.flush()
        self.connection.initialize()
        self.processor = _Processor(self.handler, self.connection)
