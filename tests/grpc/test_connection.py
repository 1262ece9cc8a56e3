from __future__ import annotations

import pytest

from mlserver_core.grpc.messages import load_messages

REQUEST = load_messages().get("inference.ModelInferRequest")
LIVE = "/inference.GRPCInferenceService/ServerLive"

#: Codes of HTTP/2's settings and errors (RFC 9113, sections 6.5.2 and 7).
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 3, 4, 5, 6
FRAME_SIZE_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 6, 7, 11


def test_client_is_told_the_limits(shared_server, connect, frame):
    client = connect(shared_server)
    client.call(frame(b""), LIVE)
    assert client.settings[MAX_CONCURRENT_STREAMS] == 1024
    assert client.settings[INITIAL_WINDOW_SIZE] == 4 * 2**20
    assert client.settings[MAX_FRAME_SIZE] == 2**20
    assert client.settings[MAX_HEADER_LIST_SIZE] == 64 * 2**10
    assert client.h2.outbound_flow_control_window > 32 * 2**20


def test_calls_above_the_most_are_refused_and_the_others_answered(shared_server, connect, frame):
    client = connect(shared_server)
    streams = [client.open(LIVE) for _ in range(1024 + 6)]  # before it has read the limit
    for stream in streams[-6:]:
        client.trailers(stream)
    assert [client.resets.get(stream) for stream in streams[-7:]] == [None] + [REFUSED_STREAM] * 6
    for stream in streams[:-6]:
        client.send(stream, frame(b""))
    assert {client.trailers(stream)["grpc-status"] for stream in streams[:-6]} == {"0"}
    assert client.call(frame(b""), LIVE)["grpc-status"] == "0"


def test_headers_above_the_limit_end_the_connection_with_a_reason(shared_server, connect, frame):
    client, other = connect(shared_server), connect(shared_server)
    client.call(frame(b""), LIVE)  # nothing of the client's is unread when the server closes
    client.open(LIVE, more=[(f"x-{number}", "a" * 4000) for number in range(17)])
    with pytest.raises(ConnectionError, match="closed the connection"):
        client.trailers(3)
    assert client.closed_with == ENHANCE_YOUR_CALM
    assert other.call(frame(b""), LIVE)["grpc-status"] == "0"


def test_a_frame_above_the_limit_ends_the_connection_with_a_reason(shared_server, connect, frame):
    client = connect(shared_server)
    client.call(frame(b""), LIVE)
    stream = client.open(LIVE)
    size = 2**20 + 1
    header = size.to_bytes(3, "big") + b"\x00\x00" + stream.to_bytes(4, "big")
    client.socket.sendall(header + bytes(size))
    with pytest.raises(ConnectionError, match="closed the connection"):
        client.trailers(stream)
    assert client.closed_with == FRAME_SIZE_ERROR


def test_headers_below_the_limit_are_taken(shared_server, connect, frame):
    more = [(f"x-{number}", "a" * 4000) for number in range(15)]
    assert connect(shared_server).call(frame(b""), LIVE, more=more)["grpc-status"] == "0"


def test_frames_of_an_unknown_type_are_ignored(shared_server, connect, frame):
    client = connect(shared_server)
    client.socket.sendall(b"\x00\x00\x03\xfa\x00\x00\x00\x00\x00abc")
    assert client.call(frame(b""), LIVE)["grpc-status"] == "0"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9 * 5),
    ],
)
def test_bytes_that_are_no_http2_end_their_connection_alone(serve, tmp_path, connect, frame, data):
    server = serve(tmp_path)
    client = connect(server, preface=False)
    try:
        client.socket.sendall(data)
        while client.socket.recv(65536):
            pass
    except ConnectionError:
        pass
    assert connect(server).call(frame(b""), LIVE)["grpc-status"] == "0"
    assert server.stop() == 0
    assert "Traceback" not in "\n".join(server.lines)


def test_calls_that_are_cancelled_before_they_begin_give_back_what_they_hold(
    shared_server, connect, frame
):
    client = connect(shared_server)
    body, flush = frame(bytes(60_000)), client.flush
    for _ in range(1300):  # 78 MB in all, more than the connection's window
        while client.h2.outbound_flow_control_window < len(body):
            client.read()  # would wait for ever for room that nobody gives back
        client.flush = lambda: None  # headers, data and reset go out in one piece
        stream = client.open()
        for start in range(0, len(body), 16_000):
            client.h2.send_data(stream, body[start : start + 16_000])
        client.h2.reset_stream(stream, error_code=8)
        client.flush = flush
        client.flush()
    assert client.call(frame(b"\x0a\x04echo"))["grpc-status"] == "0"


def test_a_message_in_frames_of_one_byte_is_answered(shared_server, connect, frame):
    client = connect(shared_server)
    client.call(frame(b""), LIVE)
    client.h2.max_outbound_frame_size = 1
    assert client.call(frame(b"\x0a\x04echo"))["grpc-status"] == "0"


def test_an_answer_waits_for_a_client_without_room(shared_server, connect, frame):
    client = connect(shared_server)
    client.h2.update_settings({INITIAL_WINDOW_SIZE: 0})
    client.flush()
    message = REQUEST(model_name="echo", id="a" * 100).SerializeToString()
    stream = client.open()
    client.send(stream, frame(message))
    other = client.open(LIVE)
    client.reset(other)  # what is said in return comes after what there is of the answer
    while not client.headers.get(stream):
        client.read()
    assert stream not in client.data
    for _ in range(20):
        client.h2.increment_flow_control_window(10, stream)
        client.flush()
    assert client.trailers(stream)["grpc-status"] == "0"
    ((_, reply),) = client.messages(stream)
    assert b"a" * 100 in reply


def test_calls_that_come_in_one_piece_are_all_answered(shared_server, connect, frame):
    client = connect(shared_server)
    flush, client.flush = client.flush, lambda: None
    streams = [client.open() for _ in range(50)]
    for number, stream in enumerate(streams):
        message = REQUEST(model_name="echo", id=str(number)).SerializeToString()
        client.send(stream, frame(message))
    client.flush = flush
    client.flush()
    assert {client.trailers(stream)["grpc-status"] for stream in streams} == {"0"}
    for number, stream in enumerate(streams):
        ((_, reply),) = client.messages(stream)
        assert f"\x1a{chr(len(str(number)))}{number}".encode() in reply


def test_a_client_that_vanishes_within_many_messages_leaves_the_server_well(
    serve, tmp_path, connect, frame
):
    server = serve(tmp_path)
    client = connect(server)
    client.call(frame(b""), LIVE)
    for _ in range(500):
        client.send(client.open(LIVE), frame(bytes(30_000), size=60_000), end=False)
    client.socket.close()
    assert connect(server).call(frame(b""), LIVE)["grpc-status"] == "0"
    assert server.stop() == 0
    assert "Traceback" not in "\n".join(server.lines)
