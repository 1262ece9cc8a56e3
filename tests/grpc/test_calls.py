from __future__ import annotations

import socket
import struct

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from mlserver_core.grpc.calls import to_metadata

INFER = "/inference.GRPCInferenceService/ModelInfer"
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "test"),
    (":path", INFER),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


def exchange(server, data, headers=HEADERS):
    """Sends one stream as it is given, over a socket, and returns the trailers it gets."""
    config = h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    connection.send_headers(1, headers)
    connection.send_data(1, data, end_stream=True)
    trailers = {}
    with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=30) as client:
        client.sendall(connection.data_to_send())
        while "grpc-status" not in trailers:
            received = client.recv(65536)
            assert received, "the server closed the connection"
            for event in connection.receive_data(received):
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    trailers.update(event.headers)
            client.sendall(connection.data_to_send())
    return trailers


def frame(message, compressed=0, size=None):
    return struct.pack(">BI", compressed, len(message) if size is None else size) + message


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (b"", "3", "the call ended before a message came"),
        (frame(b"\x0a"), "3", "the message cannot be parsed: Error parsing message"),
        (frame(b"abc", size=100), "3", "the call ended within a message"),
        (b"\x00\x00", "3", "the call ended within a message"),
        (frame(b"abc", compressed=1), "13", "a message is flagged as compressed, but the call has no"),
        (
            frame(b"", size=2**32 - 1),
            "8",
            "the message has 4294967295 bytes, more than grpc_max_message_length (67108864)",
        ),
    ],
)
def test_bytes_that_are_no_message_get_a_status_and_a_reason(shared_server, data, status, text):
    trailers = exchange(shared_server, data)
    assert trailers["grpc-status"] == status
    assert trailers["grpc-message"].startswith(text)


def test_header_bytes_above_ascii_do_not_break_the_call(shared_server):
    message = frame(b"\x0a\x04echo")
    trailers = exchange(shared_server, message, [*HEADERS, ("x-name", "Grüße")])
    assert trailers["grpc-status"] == "0"


def test_unknown_method_is_unimplemented(shared_server):
    headers = [(name, "/a.B/C" if name == ":path" else value) for name, value in HEADERS]
    assert exchange(shared_server, frame(b""), headers)["grpc-status"] == "12"


def test_compressed_call_of_grpcio_says_that_it_is_not_offered_yet(shared_server):
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(INFER)(b"\x0a\x04echo" * 100, compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        ({"X-Name": "a"}, [("x-name", "a")]),
        ({"x-bytes-bin": "a"}, [("x-bytes-bin", b"a")]),
        ({"empty": "", "tilde~": "a", "te": "x", "grpc-status": "0", "a": "b\nc"}, []),
        ({"x": "Grüße"}, [("x", "Gr%C3%BC%C3%9Fe")]),
    ],
)
def test_only_what_grpc_can_carry_becomes_trailing_metadata(headers, metadata):
    assert to_metadata(headers) == metadata


@pytest.mark.parametrize("message", [b"\x60", b"\r\x01", b"\x0a\x05ab"])
def test_garbage_to_a_control_call_is_an_invalid_argument(shared_server, message):
    headers = [
        (name, INFER.replace("ModelInfer", "ModelReady") if name == ":path" else value)
        for name, value in HEADERS
    ]
    trailers = exchange(shared_server, frame(message), headers)
    assert trailers["grpc-status"] == "3"
    assert trailers["grpc-message"].startswith("the message cannot be parsed")
