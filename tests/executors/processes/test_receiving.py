"""Frames are made of what a socket brings, however it is cut."""

import array
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from mlserver_core.executors.processes.frames import (
    HEADER_SIZE,
    BrokenFrame,
    Header,
    Kind,
    encode_header,
)
from mlserver_core.executors.processes.receiving import FrameReader
from mlserver_core.executors.processes.sending import SHARED_FROM, encode_frame
from mlserver_core.executors.processes.shared_memory import write_shared

BODY = {"x": np.arange(4, dtype=np.float32), "text": "é", "b": b"12"}


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, FrameReader(theirs)


def encode(call, body):
    return bytes(encode_frame(Kind.ITEM, call, body).data)


def header(**fields):
    given = {"kind": Kind.ITEM, "call": 1, "metadata": 4, "payload": 0, "shared": False}
    return encode_header(Header(**(given | fields)))


def read_all(reader):
    frames = []
    while (frame := reader.next_frame()) is not None:
        frames.append(frame)
    return frames


def test_a_frame_cut_at_any_byte_is_put_together(pair):
    ours, reader = pair
    data = encode(5, BODY)
    for cut in range(1, len(data)):
        ours.sendall(data[:cut])
        assert reader.receive()
        assert reader.next_frame() is None
        assert isinstance(reader.unfinished(), BrokenFrame)
        ours.sendall(data[cut:])
        assert reader.receive()
        (frame,) = read_all(reader)
        assert frame.call == 5
        assert np.array_equal(frame.body["x"], BODY["x"])
        assert reader.unfinished() is None


def test_many_frames_of_many_sizes_come_in_order_whatever_the_cuts(pair):
    ours, reader = pair
    sizes = [0, 1, 1000, 70_000, 3, SHARED_FROM - 1000, 5000] * 3
    data = b"".join(encode(index, bytes([index]) * size) for index, size in enumerate(sizes))
    frames = []
    step = 9973
    for start in range(0, len(data), step):
        ours.sendall(data[start : start + step])
        reader.receive()
        frames += read_all(reader)
    assert [frame.call for frame in frames] == list(range(len(sizes)))
    assert [frame.body for frame in frames] == [bytes([i]) * n for i, n in enumerate(sizes)]


def test_an_array_stays_as_it_came_when_the_buffer_is_used_again(pair):
    ours, reader = pair
    arrays = []
    for index in range(5):
        ours.sendall(encode(index, np.full(10, index)))
        reader.receive()
        arrays += [frame.body for frame in read_all(reader)]
    assert [array.tolist() for array in arrays] == [[index] * 10 for index in range(5)]


def test_nothing_to_read_is_no_end(pair):
    _, reader = pair
    assert reader.receive()
    assert reader.next_frame() is None


def test_the_buffer_grows_with_what_came_and_not_with_what_is_announced(pair):
    ours, reader = pair
    ours.sendall(header(payload=1 << 31))
    before = len(reader._buffer)
    for _ in range(3):
        ours.sendall(bytes(1000))
        reader.receive()
        assert reader.next_frame() is None
    assert len(reader._buffer) == before


def test_a_large_inline_frame_is_read_and_its_buffer_given_back(pair, monkeypatch):
    monkeypatch.setattr("mlserver_core.executors.processes.sending.SHARED_FROM", 1 << 40)
    ours, reader = pair
    before = len(reader._buffer)
    data = encode(1, [bytes(3 << 20), b"end"]) + encode(2, "next")
    frames = []
    for start in range(0, len(data), 50_000):
        ours.sendall(data[start : start + 50_000])
        reader.receive()
        frames += read_all(reader)
    assert frames[0].body == [bytes(3 << 20), b"end"]
    assert frames[1].body == "next"
    reader.receive()
    assert len(reader._buffer) == before


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\0" * HEADER_SIZE, "expected a kind of frame"),
        (header(metadata=3) + b"[0,", "a frame ITEM cannot be read"),
        (header(metadata=3) + b"123", "a frame ITEM cannot be read"),
        (header(metadata=2) + b"[]", "a frame ITEM cannot be read"),
        (header(metadata=0), "a frame ITEM cannot be read"),
        (header(metadata=13) + b'[{"$":"x"},0]', "a frame ITEM cannot be read"),
        (header(shared=True), "without its shared memory"),
    ],
)
def test_what_is_no_frame_is_refused(pair, data, text):
    ours, reader = pair
    ours.sendall(data)
    reader.receive()
    with pytest.raises(BrokenFrame, match=text):
        reader.next_frame()


def send_shared(ours, data, *contents):
    descriptors = [write_shared([content]) for content in contents]
    rights = array.array("i", descriptors)
    ours.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    for descriptor in descriptors:
        os.close(descriptor)


def test_several_descriptors_of_one_message_belong_to_the_frames_in_order(pair):
    ours, reader = pair
    shared = [b'["first",[]]', b'["second",[]]', b'["third",[]]']
    headers = [header(call=i, metadata=len(each), shared=True) for i, each in enumerate(shared)]
    data = headers[0] + encode(7, "inline") + headers[1] + headers[2]
    send_shared(ours, data, *shared)
    reader.receive()
    frames = read_all(reader)
    assert [frame.body for frame in frames] == ["first", "inline", "second", "third"]
    assert [frame.call for frame in frames] == [0, 7, 1, 2]


def test_shared_memory_of_another_size_is_refused(pair):
    ours, reader = pair
    send_shared(ours, header(metadata=100, shared=True), b"short")
    reader.receive()
    with pytest.raises(BrokenFrame, match="expected 100 bytes of shared memory, got 5"):
        reader.next_frame()


def test_descriptors_without_a_frame_are_closed(pair):
    ours, reader = pair
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    send_shared(ours, header(metadata=5, shared=True)[:-1], b"12345")
    reader.receive()
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before + 1
    reader.close()
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before


def test_descriptors_that_came_are_not_inherited(pair):
    ours, reader = pair
    send_shared(ours, header(metadata=5, shared=True), b"12345")
    reader.receive()
    (descriptor,) = reader._descriptors
    assert not os.get_inheritable(descriptor)
    reader.close()
