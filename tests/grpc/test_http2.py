from __future__ import annotations

import gc
import weakref

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest

from mlserver_core.grpc.http2 import ServerConnection

REQUEST = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/a")]
HEADERS = [(":status", "200"), ("content-type", "application/grpc+proto")]
TRAILERS = [("grpc-status", "0"), ("ce-source", "here")]


class Pair:
    """A client, and the server that it talks to."""

    def __init__(self):
        self.client = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )
        self.server = ServerConnection(
            h2.config.H2Configuration(
                client_side=False,
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            ),
            2**16,
        )
        self.client.initiate_connection()
        self.server.initiate_connection()
        self.events = []
        self.exchange()

    def exchange(self):
        for _ in range(2):
            self.server.receive_data(self.client.data_to_send())
            self.events += self.client.receive_data(self.server.data_to_send())

    def ask(self, *, end=True):
        stream = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, REQUEST, end_stream=end)
        self.exchange()
        return stream

    def answered(self):
        self.exchange()
        heard, self.events = self.events, []
        kinds = (h2.events.ResponseReceived, h2.events.TrailersReceived)
        headers = [list(map(tuple, each.headers)) for each in heard if isinstance(each, kinds)]
        data = b"".join(each.data for each in heard if isinstance(each, h2.events.DataReceived))
        ends = sum(isinstance(each, h2.events.StreamEnded) for each in heard)
        return headers, data, ends


@pytest.fixture
def pair():
    made = Pair()
    made.events.clear()
    return made


@pytest.mark.parametrize(
    "trailers",
    [TRAILERS, [*TRAILERS, ("x-long", "a" * 40_000)]],  # the latter takes several frames
)
def test_an_answer_is_what_h2_would_have_sent(pair, trailers):
    for _ in range(4):  # first as literals, then out of the table
        pair.server.send_answer(pair.ask(), HEADERS, b"data", trailers)
        assert pair.answered() == ([HEADERS, trailers], b"data", 1)


def test_an_answer_takes_of_the_windows(pair):
    stream = pair.ask()
    before = pair.server.outbound_flow_control_window
    pair.server.send_answer(stream, HEADERS, bytes(1000), TRAILERS)
    assert pair.server.outbound_flow_control_window == before - 1000
    assert pair.server.streams[stream].outbound_flow_control_window == before - 1000
    pair.exchange()
    assert pair.client.inbound_flow_control_window == before - 1000


def test_a_stream_is_answered_once_and_not_after_its_reset(pair):
    stream = pair.ask()
    pair.server.send_answer(stream, HEADERS, b"", TRAILERS)
    with pytest.raises(h2.exceptions.ProtocolError):
        pair.server.send_answer(stream, HEADERS, b"", TRAILERS)
    stream = pair.ask(end=False)
    pair.client.reset_stream(stream)
    pair.exchange()
    with pytest.raises(h2.exceptions.ProtocolError):
        pair.server.send_answer(stream, HEADERS, b"", TRAILERS)


def test_the_stream_of_an_answered_call_takes_what_still_comes(pair):
    stream = pair.ask(end=False)
    pair.server.send_answer(stream, HEADERS, b"", TRAILERS)
    pair.client.send_data(stream, b"late", end_stream=True)
    pair.exchange()
    assert pair.server.streams[stream].closed


@pytest.mark.parametrize("missing", ["_data_to_send", "state_machine"])
def test_an_h2_that_is_built_in_another_way_sends_the_same(pair, missing, monkeypatch):
    stream = pair.ask()
    sent = []
    monkeypatch.setattr(pair.server, "send_headers", lambda *_, **options: sent.append(options))
    monkeypatch.setattr(pair.server, "send_data", lambda *_: sent.append("data"))
    if missing == "state_machine":
        del pair.server.streams[stream].state_machine
    else:
        del pair.server._data_to_send
    pair.server.send_answer(stream, HEADERS, b"data", TRAILERS)
    assert sent == [{}, "data", {"end_stream": True}]


def test_headers_that_came_before_are_still_checked_against_what_their_stream_expects(pair):
    assert pair.ask()
    stream = pair.ask(end=False)
    pair.client.config.validate_outbound_headers = False
    pair.client.send_headers(stream, REQUEST, end_stream=True)  # pseudo-headers as trailers
    with pytest.raises(h2.exceptions.ProtocolError, match="trailer"):
        pair.exchange()


def test_a_connection_that_is_gone_leaves_nothing_to_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        made = Pair()
        for _ in range(3):
            stream = made.client.get_next_available_stream_id()
            made.client.send_headers(stream, REQUEST, end_stream=True)
            made.exchange()
        first = weakref.ref(made.server.streams[1])
        made.server._frame_dispatch_table = {}  # as grpclib leaves it
        del made
        assert first() is None
    finally:
        gc.enable()
