from __future__ import annotations

from itertools import pairwise

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.grpc.frames import FrameReader, read_frames
from mlserver_core.grpc.http2 import ServerConnection

SERVER = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "test"),
    (":path", "/a/b"),
    ("te", "trailers"),
]
TRAILERS = [("x-trailer", "1")]
UNKNOWN = b"\x00\x00\x03\xfa\x00\x00\x00\x00\x00abc"

CALLS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.binary(max_size=300), st.none() | st.integers(0, 9)), max_size=4),
        st.sampled_from(["data", "empty", "trailers", "reset", "nothing"]),
        st.sampled_from([0, 10, 900]),  # bytes of a header; the last takes several frames
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


def client_bytes(calls):
    """What a client says: headers, data that is padded or not, pings, frames nobody knows."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    client.max_outbound_frame_size = 400
    said = bytearray(client.data_to_send())
    for pieces, end, more, unknown in calls:
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, HEADERS + ([("x-more", "y" * more)] if more else []))
        for data, padding in pieces:
            client.send_data(stream, data, pad_length=padding)
            if unknown:
                client.ping(bytes(8))
                said += client.data_to_send() + UNKNOWN
        if end == "data":
            client.send_data(stream, b"last", end_stream=True)
        elif end == "empty":
            client.end_stream(stream)
        elif end == "trailers":
            client.send_headers(stream, TRAILERS, end_stream=True)
        elif end == "reset":
            client.reset_stream(stream)
        said += client.data_to_send()
    return bytes(said)


def hear(connection, said, cuts):
    """What a connection makes of bytes, and answers: data joined, as its frames may be split."""
    heard, data, sizes, answered = [], {}, {}, b""
    edges = [0, *sorted(cut % (len(said) + 1) for cut in cuts), len(said)]
    for start, end in pairwise(edges):
        for event in connection.receive_data(said[start:end]):
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.DataReceived):
                data[stream] = data.get(stream, b"") + bytes(event.data)
                sizes[stream] = sizes.get(stream, 0) + event.flow_controlled_length
            else:
                heard.append((type(event), stream, getattr(event, "headers", None)))
    answered += connection.data_to_send()
    return heard, data, sizes, answered


def started(connection):
    connection.initiate_connection()
    return connection


@settings(deadline=None)
@given(CALLS, st.lists(st.integers(0, 10**6), max_size=40))
def test_all_that_a_client_may_send_is_heard_as_h2_hears_it(calls, cuts):
    said = client_bytes(calls)
    own = hear(started(h2.connection.H2Connection(SERVER)), said, [])
    assert hear(started(ServerConnection(SERVER, 2**16)), said, cuts) == own


@settings(deadline=None)
@given(CALLS, st.integers(0, 10**6), st.binary(min_size=1, max_size=20), st.integers(5, 50))
def test_what_h2_refuses_is_refused_at_the_latest_when_its_frame_is_there(
    calls, where, garbage, step
):
    said = client_bytes(calls)
    where %= len(said) + 1
    said = said[:where] + garbage + said[where:]
    cuts = range(0, len(said), step)
    try:
        hear(started(h2.connection.H2Connection(SERVER)), said, cuts)
    except h2.exceptions.ProtocolError:
        made = started(ServerConnection(SERVER, 2**16))
        rest = said + bytes(2**24)
        with pytest.raises(h2.exceptions.ProtocolError):
            hear(made, rest, cuts)


def data_frame(size, sent):
    return size.to_bytes(3, "big") + b"\x00\x00" + (1).to_bytes(4, "big") + sent


def reader():
    made = FrameReader()
    made.max_frame_size = 2**20
    made.add_data(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert not list(made)
    return made


def test_the_payload_of_a_frame_is_handed_on_before_its_end_and_without_a_copy():
    made = reader()
    read = data_frame(1000, bytes(600))
    made.add_data(read)
    (piece,) = made
    assert len(piece.data) == 600
    assert piece.data.obj is read
    read = bytes(400)
    made.add_data(read)
    (piece,) = made
    assert len(piece.data) == 400
    assert piece.data.obj is read


def test_a_small_piece_does_not_keep_a_large_read():
    made = reader()
    made.add_data(data_frame(10, bytes(10)) + data_frame(1000, bytes(1000)))
    small, large = made
    assert isinstance(small.data, bytes)
    assert isinstance(large.data, memoryview)
    assert not made._view.nbytes
    assert not made._data


def test_nothing_is_kept_of_a_frame_that_is_too_long():
    made = reader()
    made.add_data(data_frame(2**20 + 2, b""))
    assert not list(made)
    for _ in range(16):
        made.add_data(bytes(2**16))
        assert not list(made)
        assert not made._data
    made.add_data(bytes(2))
    with pytest.raises(h2.exceptions.FrameTooLargeError):
        list(made)


def test_frames_say_nothing_of_what_they_carry():
    made = reader()
    made.add_data(data_frame(10, bytes(10)))
    (frame,) = made
    assert len(repr(frame)) < 10


def test_an_h2_that_is_built_in_another_way_keeps_its_buffer():
    made = h2.connection.H2Connection(SERVER)
    own = made.incoming_buffer
    del made._frame_dispatch_table
    read_frames(made)
    assert made.incoming_buffer is own


def test_a_frame_in_small_reads_is_waited_for_without_a_look_at_each_of_them():
    made = reader()
    frame = b"\x00\x40\x00\xfa\x00\x00\x00\x00\x00" + bytes(2**14)
    for start in range(0, len(frame) - 100, 100):
        made.add_data(frame[start : start + 100])
        assert not list(made)
        assert made._needed == len(frame)
        assert len(made._data) == start + 100
    made.add_data(frame[start + 100 :])
    assert [type(each).__name__ for each in made] == ["ExtensionFrame"]
    assert not made._data
