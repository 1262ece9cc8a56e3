from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.errors import InvalidRequest
from mlserver_core.grpc.received import Received


@given(st.lists(st.binary(min_size=1, max_size=9)), st.lists(st.integers(1, 20)))
def test_what_was_sent_is_read_in_any_pieces(pieces, sizes):
    async def read():
        received = Received(lambda size: None)
        for piece in pieces:
            received.add(memoryview(piece), len(piece))
        received.eof()
        left = sum(map(len, pieces))
        got = b""
        for size in sizes:
            if 0 < left < size:
                with pytest.raises(InvalidRequest, match="the call ended within a message"):
                    await received.read(size)
                return got
            got += await received.read(size)
            left = max(left - size, 0)
        return got

    assert b"".join(pieces).startswith(asyncio.run(read()))


def test_a_reader_gets_what_comes_while_it_waits():
    async def read():
        received = Received(lambda size: None)
        reader = asyncio.create_task(received.read(4))
        for piece in b"a", b"b", b"cdef":
            await asyncio.sleep(0)
            assert not reader.done()
            received.add(piece, len(piece))
        last = asyncio.create_task(received.read(3))
        assert await reader == b"abcd"
        await asyncio.sleep(0)
        received.eof()
        with pytest.raises(InvalidRequest):
            await last

    asyncio.run(read())


def test_only_what_a_reader_wants_makes_room_for_more():
    async def read():
        room = []
        received = Received(room.append)
        for _ in range(3):
            received.add(bytes(1000), 1002)  # two of padding
        assert room == []
        await received.read(500)
        assert room == [1002]
        assert received.unacked_size() == 2004
        await received.read(500)
        assert room == [1002]
        reader = asyncio.create_task(received.read(2005))
        await asyncio.sleep(0)
        assert room == [1002, 2004]
        received.add(bytes(4), 4)  # not enough, but what is more has to have room
        assert room == [1002, 2004, 4]
        received.add(bytes(1), 1)
        await reader
        assert received.unacked_size() == 0

    asyncio.run(read())


def test_a_reader_that_is_cancelled_leaves_all_to_the_next():
    async def read():
        received = Received(lambda size: None)
        reader = asyncio.create_task(received.read(4))
        await asyncio.sleep(0)
        received.add(b"ab", 2)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        received.add(b"cd", 2)
        assert await received.read(4) == b"abcd"

    asyncio.run(read())


@pytest.mark.parametrize("size", [2**16, 2**16 + 1, 400_000 + 37, 2**20])
def test_numbers_at_the_end_of_a_large_message_are_aligned_and_writable(size):
    async def read():
        received = Received(lambda size: None)
        received.add(bytes(100), 100)
        received.add(bytes(size - 100) + b"next", size - 96)
        return await received.read(size), await received.read(4)

    message, rest = asyncio.run(read())
    assert (len(message), bytes(rest)) == (size, b"next")
    flags = np.frombuffer(message[size % 8 :], np.float64).flags
    assert flags.aligned
    assert flags.writeable


def test_tiny_pieces_take_no_objects_of_their_own():
    async def read():
        received = Received(lambda size: None)
        for number in range(100_000):
            received.add(bytes([number % 251]), 1)
        assert len(received._kept) <= 2
        assert received.unacked_size() == 100_000
        first = await received.read(10)
        reader = asyncio.create_task(received.read(150_000 - 10))
        await asyncio.sleep(0)
        for number in range(100_000, 150_000):
            received.add(bytes([number % 251]), 1)
            assert len(received._pieces) <= 4
        return first + bytes(await reader)

    assert asyncio.run(read()) == bytes(number % 251 for number in range(150_000))
