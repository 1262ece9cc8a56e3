"""h2's side of a connection, with short ways for what every call does.

They use attributes that h2 does not promise. Where one is missing, h2's own way is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection
from h2.stream import StreamInputs

from mlserver_core.grpc.frames import PREFIX, read_frames
from mlserver_core.grpc.header_blocks import CheckedHeaders, remember_blocks

Headers = list[tuple[str, str]]

_DATA, _HEADERS = 0, 1
_END_STREAM, _END_HEADERS = 0x1, 0x4
#: New streams until those that are closed are forgotten.
_FORGET = 64
#: Bytes that a header has in a block beyond its name and value, at most.
_OVERHEAD = 16


class ServerConnection(H2Connection):
    """A connection that is served."""

    def __init__(self, config: H2Configuration, largest_headers: int) -> None:
        """For a new connection.

        Args:
            config: of a server.
            largest_headers: bytes that a call's headers may have (RFC 9113, section 6.5.2).
        """
        super().__init__(config=config)
        self._begun = 0
        self._checked: CheckedHeaders | None = None
        self.decoder.max_header_list_size = largest_headers
        read_frames(self)
        remember_blocks(self, largest_headers)

    @property
    def open_inbound_streams(self) -> int:
        """None, as h2 asks at each new stream and counts all of them: CallHandler has the limit.

        Every 64th time it may count, for that is when it forgets the closed ones.
        """
        self._begun += 1
        return 0 if self._begun % _FORGET else super().open_inbound_streams

    def _begin_new_stream(self, *arguments: Any, **options: Any) -> Any:
        stream: Any = super()._begin_new_stream(*arguments, **options)
        check: Callable[..., Any] | None = getattr(stream, "_process_received_headers", None)
        if check is not None:
            if self._checked is None:
                self._checked = CheckedHeaders(check)  # which holds this stream; others hold it
            else:
                stream._process_received_headers = self._checked  # noqa: SLF001  # h2 has no hook
        return stream

    def send_answer(self, stream_id: int, headers: Headers, data: bytes, trailers: Headers) -> None:
        """Sends headers, data and trailers of a stream; the windows must have room for the data.

        h2 makes objects of each frame and goes through the headers five times.
        """
        stream: Any = self.streams[stream_id]
        machine: Any = getattr(stream, "state_machine", None)
        size = sum(_OVERHEAD + len(name) + len(value) for name, value in trailers)
        known = machine is not None and hasattr(self, "_data_to_send")
        if not known or size > self.max_outbound_frame_size:
            self.send_headers(stream_id, headers)
            self.send_data(stream_id, data)
            self.send_headers(stream_id, trailers, end_stream=True)
            return
        self.state_machine.process_input(ConnectionInputs.SEND_HEADERS)
        machine.process_input(StreamInputs.SEND_HEADERS)
        machine.process_input(StreamInputs.SEND_DATA)
        machine.process_input(StreamInputs.SEND_HEADERS)
        machine.process_input(StreamInputs.SEND_END_STREAM)
        stream.outbound_flow_control_window -= len(data)
        self.outbound_flow_control_window -= len(data)
        first, last = self.encoder.encode(headers), self.encoder.encode(trailers)
        self._data_to_send += b"".join(
            [
                _prefix(len(first), _HEADERS, _END_HEADERS, stream_id),
                first,
                _prefix(len(data), _DATA, 0, stream_id),
                data,
                _prefix(len(last), _HEADERS, _END_HEADERS | _END_STREAM, stream_id),
                last,
            ]
        )


def _prefix(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    return PREFIX.pack(size >> 8, size & 0xFF, kind, flags, stream_id)
