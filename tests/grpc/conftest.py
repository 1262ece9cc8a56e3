"""A client that says on the wire exactly what a test wants said."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest

INFER = "/inference.GRPCInferenceService/ModelInfer"


@attrs.define(slots=False)
class RawClient:
    """One connection, and what it got by stream: headers, bytes, codes of resets."""

    socket: socket.socket
    h2: h2.connection.H2Connection
    headers: dict[int, dict[str, str]] = attrs.field(factory=dict)
    data: dict[int, bytes] = attrs.field(factory=dict)
    resets: dict[int, int] = attrs.field(factory=dict)
    ended: set[int] = attrs.field(factory=set)
    settings: dict[int, int] = attrs.field(factory=dict)
    closed_with: int | None = None
    #: Streams whose data it takes, without making room for more.
    held: set[int] = attrs.field(factory=set)

    def open(self, path: str = INFER, more: list[tuple[str, str]] | None = None, **replaced) -> int:
        """Begins a call and returns its stream; ``method=None`` leaves ``:method`` out."""
        named = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "test",
            ":path": path,
            "content-type": "application/grpc",
            "te": "trailers",
        }
        named |= {name.replace("_", "-"): value for name, value in replaced.items()}
        stream = self.h2.get_next_available_stream_id()
        headers = [(name, value) for name, value in named.items() if value is not None]
        self.h2.send_headers(stream, headers + (more or []))
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Sends bytes as the server's windows allow."""
        sent = 0
        while sent < len(data):
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.read()
                continue
            self.h2.send_data(stream, data[sent : sent + room])
            sent += room
            self.flush()
        if end:
            self.h2.end_stream(stream)
        self.flush()

    def reset(self, stream: int) -> None:
        self.h2.reset_stream(stream, error_code=8)
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def read(self) -> None:
        """Takes what the server says next."""
        received = self.socket.recv(2**20)
        if not received:
            raise ConnectionError("the server closed the connection")
        for event in self.h2.receive_data(received):
            self._take(event)
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", 0)
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            self.headers.setdefault(stream, {}).update(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.data[stream] = self.data.get(stream, b"") + event.data
            if stream not in self.held:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(stream)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[stream] = int(event.error_code)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            changed = event.changed_settings.items()
            self.settings |= {int(code): setting.new_value for code, setting in changed}
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.closed_with = int(event.error_code)

    def trailers(self, stream: int) -> dict[str, str]:
        """Headers and trailers of a call, once it has ended."""
        while stream not in self.ended and stream not in self.resets:
            self.read()
        return self.headers.get(stream, {})

    def call(self, data: bytes, path: str = INFER, more=None, **replaced) -> dict[str, str]:
        """A whole call."""
        stream = self.open(path, more, **replaced)
        self.send(stream, data)
        return self.trailers(stream)

    def messages(self, stream: int) -> list[tuple[int, bytes]]:
        """The whole messages that came so far: flag and bytes."""
        found, data = [], self.data.get(stream, b"")
        while len(data) >= 5:
            flag, size = struct.unpack(">BI", data[:5])
            if len(data) < 5 + size:
                break
            found.append((flag, data[5 : 5 + size]))
            data = data[5 + size :]
        return found


@pytest.fixture
def connect() -> Iterator[Callable[[Any], RawClient]]:
    """Connects to a server without a gRPC library."""
    clients: list[RawClient] = []

    def connect_to(server: Any, *, preface: bool = True) -> RawClient:
        config = h2.config.H2Configuration(
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        made = h2.connection.H2Connection(config)
        client = RawClient(
            socket.create_connection(("127.0.0.1", server.grpc_port), timeout=30), made
        )
        clients.append(client)
        if preface:
            made.initiate_connection()
            client.flush()
        return client

    yield connect_to
    for client in clients:
        client.socket.close()


@pytest.fixture
def frame() -> Callable[..., bytes]:
    """A message as gRPC sends it (gRPC over HTTP/2, "Length-Prefixed-Message")."""

    def make(message: bytes, flag: int = 0, size: int | None = None) -> bytes:
        return struct.pack(">BI", flag, len(message) if size is None else size) + message

    return make
