"""The HTTP/2 connection of one client: what it may send, and how much of it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, cast

from grpclib.protocol import Connection, EventsProcessor, H2Protocol, Stream, _set_nodelay
from h2.connection import H2Connection
from h2.events import DataReceived, Event
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes, Settings

from mlserver_core.grpc.frames import read_frames
from mlserver_core.grpc.handling import MOST_CALLS
from mlserver_core.grpc.header_blocks import remember_blocks
from mlserver_core.grpc.received import Received

Headers = list[tuple[str, str]]

#: Bytes of one call that may wait to be read. A model that is slow with its stream holds its
#: client up after so many.
_STREAM_WINDOW = 4 * 2**20
#: Bytes of a whole connection that may wait: streams that are held up leave room for others.
_CONNECTION_WINDOW = 64 * 2**20
#: Bytes of a frame. h2 keeps up to 64 frames of headers before it looks at them.
_LARGEST_FRAME = 2**20
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
        self.buffer = Received(partial(connection.ack, stream_id))  # type: ignore[assignment]
        connection.streams_started += 1
        self.created = connection.last_stream_created = time.monotonic()

    def send_answer(self, headers: Headers, data: bytes, trailers: Headers) -> bool:
        """Sends all of an answer with one write; False where that has to wait for the client."""
        made, stream_id = self._h2_connection, cast("int", self.id)
        if not self.connection.write_ready.is_set():
            return False
        if stream_id not in made.streams:  # h2 would begin a new one
            raise StreamClosedError(stream_id)
        room = min(made.local_flow_control_window(stream_id), made.max_outbound_frame_size)
        if len(data) > room:
            return False
        made.send_headers(stream_id, headers)
        made.send_data(stream_id, data)
        made.send_headers(stream_id, trailers, end_stream=True)
        self._transport.write(made.data_to_send())
        self.data_sent += len(data)
        self.connection.data_sent += len(data)
        self.connection.headers_send_process()
        self.connection.data_send_process()
        return True


class _Connection(Connection):
    """Tells the client why it is closed; grpclib leaves h2's last frame unsent."""

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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says what the client may send, before it sends anything."""
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _set_nodelay(sock)
        made = H2Connection(config=self.h2_config)
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
        made.decoder.max_header_list_size = _LARGEST_HEADERS
        read_frames(made)
        remember_blocks(made, _LARGEST_HEADERS)
        made.initiate_connection()
        made.increment_flow_control_window(_CONNECTION_WINDOW - made.inbound_flow_control_window)
        self.connection = _Connection(
            made, cast("asyncio.Transport", transport), config=self.config
        )
        self.connection.flush()
        self.connection.initialize()
        self.processor = _Processor(self.handler, self.connection)
