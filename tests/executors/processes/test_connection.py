"""Frames between two ends of a socket pair, on both event loops."""

import array
import asyncio
import contextlib
import gc
import signal
import socket
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import numpy as np
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlserver_core.errors import RuntimeFailed, Unavailable
from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import BrokenFrame, Frame, Kind
from mlserver_core.executors.processes.sending import encode_frame
from mlserver_core.types import InferenceRequest, RequestInput

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
#: Elements of an array that goes through shared memory.
LARGE = 1 << 18


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine on a loop of its own, of either kind."""
    loop = LOOPS[request.param]()
    yield loop.run_until_complete
    loop.close()


class End:
    """One end of a connection, and what came out of it."""

    def __init__(self, sock):
        self.frames = asyncio.Queue()
        self.closed = asyncio.get_running_loop().create_future()
        self.on_frame = self.frames.put_nowait
        self.connection = Connection(sock, self._receive, self.closed.set_result)
        self.send = self.connection.send

    def _receive(self, frame):
        self.on_frame(frame)


@contextlib.contextmanager
def open_pair():
    left, right = map(End, socket.socketpair())
    try:
        yield left, right
    finally:
        left.connection.close()
        right.connection.close()


@contextlib.contextmanager
def open_end():
    """A connection, and the bare socket at its other side."""
    ours, theirs = socket.socketpair()
    end = End(theirs)
    with ours:
        yield ours, end
        end.connection.close()


def count_descriptors():
    gc.collect()
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.mark.parametrize("size", [0, 4, LARGE])
def test_an_array_comes_back_from_the_other_end(run, size):
    async def exchange():
        with open_pair() as (left, right):
            right.on_frame = lambda frame: right.send(Kind.RESULT, frame.call, frame.body)
            sent = np.arange(size, dtype=np.float32)
            left.send(Kind.PREDICT, 2**64 - 1, {"x": sent, "y": sent})
            frame = await left.frames.get()
            assert (frame.kind, frame.call) == (Kind.RESULT, 2**64 - 1)
            assert np.array_equal(frame.body["x"], sent)
            frame.body["x"][:] = -1
            assert np.array_equal(frame.body["y"], sent)

    run(exchange())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(Kind),
            st.integers(0, 2**64 - 1),
            st.one_of(
                st.text(max_size=5), st.sampled_from([b"ab", bytes(100_000), bytes(200_000), None])
            ),
        ),
        max_size=30,
    )
)
def test_frames_of_any_kind_and_size_come_in_order(run, sent):
    async def exchange():
        with open_pair() as (left, right):
            for each in sent:
                left.send(*each)
            for each in sent:
                assert await right.frames.get() == Frame(*each)
            assert left.connection.pending_bytes == 0

    run(exchange())


def test_large_frames_in_both_directions_at_once_do_not_block_each_other(run):
    async def exchange():
        before = count_descriptors()
        with open_pair() as (left, right):
            bodies = [np.full(size, size, np.int32) for size in (20_000, LARGE) * 30]
            for index, body in enumerate(bodies):
                left.send(Kind.PREDICT, index, body)
                right.send(Kind.RESULT, index, body)
            assert left.connection.pending_bytes > 0
            for end in (left, right):
                for index, body in enumerate(bodies):
                    frame = await end.frames.get()
                    assert frame.call == index
                    assert np.array_equal(frame.body, body)
            await left.connection.drain()
            assert left.connection.pending_bytes == 0
        del frame
        assert count_descriptors() == before

    run(exchange())


@pytest.mark.parametrize("size", [100, LARGE])
def test_an_array_may_be_used_again_as_soon_as_send_has_returned(run, size):
    async def exchange():
        with open_pair() as (left, right):
            sent = np.zeros(size, np.uint8)
            count = 0
            while left.connection.pending_bytes < 4 * size or count < 200:
                sent[:] = count % 256
                left.send(Kind.PREDICT, count, sent)
                count += 1
            sent[:] = 255
            for index in range(count):
                frame = await right.frames.get()
                assert (frame.body == index % 256).all()

    run(exchange())


@pytest.mark.parametrize("size", [100, LARGE])
def test_what_is_queued_keeps_nothing_of_the_sender_alive(run, size):
    async def exchange():
        with open_end() as (_, end):
            while not end.connection.pending_bytes:
                end.send(Kind.PREDICT, 1, bytes(1000))
            sent = np.zeros(size, np.uint8)
            request = InferenceRequest(
                inputs=[RequestInput(name="x", shape=[size], datatype="UINT8", data=sent)]
            )
            alive = weakref.ref(sent)
            pending = end.connection.pending_bytes
            end.send(Kind.PREDICT, 2, request)
            assert end.connection.pending_bytes > pending + size
            del sent, request
            gc.collect()
            assert alive() is None

    run(exchange())


def test_closing_gives_back_every_descriptor_of_either_side(run):
    async def exchange():
        before = count_descriptors()
        with open_pair() as (left, right):
            for index in range(400):
                left.send(Kind.PREDICT, index, np.zeros(LARGE, np.uint8))
            assert left.connection.pending_bytes > LARGE
            await right.frames.get()
            left.connection.close()
            assert left.connection.pending_bytes == 0
            await right.closed
            while not right.frames.empty():
                right.frames.get_nowait()
        assert count_descriptors() == before

    run(exchange())


def test_closing_gives_back_the_descriptor_of_half_a_frame(run):
    async def exchange():
        before = count_descriptors()
        with open_end() as (ours, end):
            frame = encode_frame(Kind.PREDICT, 1, np.zeros(LARGE))
            rights = array.array("i", [frame.descriptor])
            ours.sendmsg([frame.data[:-1]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            frame.close()
            ours.close()
            assert isinstance(await end.closed, BrokenFrame)
        assert count_descriptors() == before

    run(exchange())


def test_what_cannot_be_sent_is_named_and_sends_nothing(run):
    async def exchange():
        with open_pair() as (left, right):
            with pytest.raises(RuntimeFailed, match=r"^a\.b\[1\]: expected .*, got object$"):
                left.send(Kind.RESULT, 1, {"a": {"b": [1, object()]}})
            left.send(Kind.RESULT, 2)
            assert (await right.frames.get()).call == 2

    run(exchange())


def test_nothing_can_be_sent_after_either_side_has_closed(run):
    async def exchange():
        with open_pair() as (left, right):
            left.connection.close()
            left.connection.close()
            assert left.closed.result() is None
            assert await right.closed is None
            for end in (left, right):
                assert end.connection.closed
                with pytest.raises(ConnectionError):
                    end.send(Kind.RESULT, 1)
                with pytest.raises(ConnectionError):
                    await end.connection.drain()

    run(exchange())


def test_what_the_other_side_sent_before_it_went_still_comes(run):
    async def exchange():
        with open_pair() as (left, right):
            right.send(Kind.RESULT, 1, "last words")
            right.send(Kind.RESULT, 2, np.arange(LARGE))
            right.connection.close()
            with pytest.raises(ConnectionError):
                left.send(Kind.PREDICT, 3)
            assert not left.connection.closed
            assert left.connection.pending_bytes == 0
            assert (await left.frames.get()).body == "last words"
            assert (await left.frames.get()).body[-1] == LARGE - 1
            assert isinstance(await left.closed, BrokenPipeError)

    run(exchange())


def test_whoever_waits_for_the_queue_learns_of_the_end(run):
    async def exchange():
        with open_end() as (ours, end):
            while not end.connection.pending_bytes:
                end.send(Kind.PREDICT, 1, bytes(1000))
            waiting = asyncio.ensure_future(end.connection.drain())
            gone = asyncio.ensure_future(end.connection.drain())
            await asyncio.sleep(0)
            gone.cancel()
            ours.close()
            with pytest.raises(ConnectionError):
                await waiting
            assert isinstance(await end.closed, OSError)

    run(exchange())


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n......", "kind of frame"), (b"\xa3", "in the middle")],
)
def test_what_is_no_frame_ends_the_connection(run, data, text):
    async def exchange():
        with open_end() as (ours, end):
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
            error = await end.closed
            assert isinstance(error, BrokenFrame)
            assert text in str(error)
            assert ours.recv(1) == b""

    run(exchange())


def test_a_handler_that_fails_ends_the_connection_and_is_logged(run, caplog):
    async def exchange():
        def fail(_):
            raise ZeroDivisionError("handler")

        with open_pair() as (left, right):
            right.on_frame = fail
            left.send(Kind.READY, 0)
            left.send(Kind.READY, 0)
            assert isinstance(await right.closed, ZeroDivisionError)
            await left.closed

    run(exchange())
    assert [record.message for record in caplog.records] == ["A frame READY could not be handled"]


def test_a_handler_may_close_the_connection(run):
    async def exchange():
        with open_pair() as (left, right):
            seen = []

            def close(frame):
                seen.append(frame.call)
                right.connection.close()

            right.on_frame = close
            left.send(Kind.READY, 1)
            left.send(Kind.READY, 2)
            assert await right.closed is None
            await left.closed
            assert seen == [1]

    run(exchange())


def test_one_turn_of_the_loop_reads_a_bounded_amount(run):
    async def exchange():
        with open_pair() as (left, right):
            turns = []
            for index in range(20):
                left.send(Kind.PREDICT, index, bytes(50_000))
            right.on_frame = lambda frame: turns.append(frame.call)
            counts = []
            while len(turns) < 20:
                before = len(turns)
                await asyncio.sleep(0)
                counts.append(len(turns) - before)
            assert max(counts) <= 2

    run(exchange())


CHILD = """
import asyncio, os, resource, signal, socket, sys
import numpy as np
from mlserver_core.executors.processes.connection import Connection
from mlserver_core.executors.processes.frames import Kind

async def main():
    closed = asyncio.get_running_loop().create_future()
    connection = Connection(
        socket.socket(fileno=int(sys.argv[1])), lambda frame: handle(frame), closed.set_result
    )
    handle = make(connection)
    await closed

def limit(name, value):
    resource.setrlimit(name, (value, resource.getrlimit(name)[1]))

{body}
asyncio.run(main())
"""


@contextlib.contextmanager
def open_child(body):
    ours, theirs = socket.socketpair()
    code = CHILD.replace("{body}", textwrap.dedent(body))
    command = [sys.executable, "-c", code, str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as child:
        theirs.close()
        end = End(ours)
        try:
            yield end, child
        finally:
            end.connection.close()
            child.kill()


def test_the_death_of_the_other_process_is_noticed_after_its_last_words(run):
    body = """
    def make(connection):
        def handle(frame):
            connection.send(Kind.RESULT, frame.call, np.arange(frame.body))
            os.kill(os.getpid(), signal.SIGKILL)
        return handle
    """

    async def exchange():
        with open_child(body) as (end, child):
            end.send(Kind.PREDICT, 1, LARGE)
            frame = await end.frames.get()
            assert frame.body[-1] == LARGE - 1
            assert await end.closed is None
            assert child.wait() == -signal.SIGKILL

    run(exchange())


ECHO_UNDER = """
def make(connection):
    kept = []
    def handle(frame):
        if frame.kind is Kind.CALL:
            limit({name}, {value})
            connection.send(Kind.RESULT, frame.call)
        else:
            kept.append(frame.body)
            connection.send(Kind.RESULT, frame.call, frame.body)
    return handle
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resource.RLIMIT_FSIZE", "1000"),
        ("resource.RLIMIT_NOFILE", "len(os.listdir('/dev/fd'))"),
        ("resource.RLIMIT_NOFILE", "len(os.listdir('/dev/fd')) + 5"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="limits are not kept everywhere")
def test_limits_of_the_other_process_cost_time_and_no_answers(run, name, value):
    async def exchange():
        with open_child(ECHO_UNDER.format(name=name, value=value)) as (end, _):
            end.send(Kind.CALL, 1)
            await end.frames.get()
            for index in range(10):
                sent = np.full(LARGE, index, np.uint8)
                end.send(Kind.PREDICT, index, sent)
                assert np.array_equal((await end.frames.get()).body, sent)

    run(exchange())


NO_DESCRIPTORS = """
def make(connection):
    limit(resource.RLIMIT_NOFILE, 0)
    return lambda frame: connection.send(Kind.RESULT, frame.call, frame.body)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits are not kept everywhere")
def test_a_process_without_any_descriptor_left_refuses_large_calls_and_answers_others(run):
    async def exchange():
        with open_child(NO_DESCRIPTORS) as (end, _):
            large = np.zeros(LARGE)
            for index, body in enumerate([1, large, 2, large, large, 3]):
                end.send(Kind.PREDICT, index, body)
            frames = [await end.frames.get() for _ in range(6)]
            assert [frame.call for frame in frames] == list(range(6))
            assert [frame.body for frame in frames if frame.kind is Kind.RESULT] == [1, 2, 3]
            errors = [frame.body for frame in frames if frame.kind is Kind.ERROR]
            assert [type(error) for error in errors] == [Unavailable] * 3
            assert "open files" in str(errors[0])

    run(exchange())


BURST = """
def make(connection):
    if not os.getuid():  # the limit is none for root
        os.setuid(65534)
    limit(resource.RLIMIT_NOFILE, 30)
    for index in range(60):
        connection.send(Kind.RESULT, index, np.full(2**18, index, np.uint8))
    print("sent", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits are not kept everywhere")
def test_more_descriptors_under_way_than_the_system_allows_cost_no_frames():
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", CHILD.replace("{body}", BURST), str(theirs.fileno())]

    async def read():
        end = End(ours)
        for index in range(60):
            frame = await end.frames.get()
            assert frame.call == index
            assert (frame.body == index).all()
        end.connection.close()

    with subprocess.Popen(
        command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True
    ) as child:
        theirs.close()
        assert child.stdout.readline() == "sent\n"
        asyncio.run(read())


def test_no_child_inherits_the_memory_of_a_frame():
    async def exchange():
        listing = [sys.executable, "-c", "import os; print(len(os.listdir('/dev/fd')))"]

        def count():
            return subprocess.run(
                listing,
                stdout=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                close_fds=False,
                check=True,
            ).stdout

        with open_end() as (_, end):
            expected = count()
            while not end.connection.pending_bytes:
                end.send(Kind.PREDICT, 1, bytes(100_000))
            end.send(Kind.PREDICT, 1, bytes(LARGE))
            assert count() == expected

    asyncio.run(exchange())
