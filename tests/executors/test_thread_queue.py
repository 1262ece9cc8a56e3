from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

from mlserver_core.executors.thread_queue import ThreadQueue

LONG = 30


class Payload:
    """What a call holds."""


@pytest.fixture
async def make():
    """Makes queues, and ends their threads at the end."""
    queues = []

    def make_queue(threads=1):
        queues.append(ThreadQueue(threads, "of-this-test"))
        return queues[-1]

    yield make_queue
    for queue in queues:
        queue.end()


@pytest.fixture
async def held(make):
    """A queue whose only thread waits, and what lets it go on."""
    queue, entered, go = make(), threading.Event(), threading.Event()

    def hold():
        entered.set()
        assert go.wait(LONG)

    queue.submit(hold)
    assert entered.wait(LONG)
    yield queue, go
    go.set()


async def result(call):
    return await asyncio.wait_for(call.answer, LONG)


async def test_calls_run_in_order_and_give_what_they_return(make):
    queue, order = make(), []

    def run(number):
        order.append(number)
        return number * 2

    calls = [queue.submit(run, number) for number in range(50)]
    assert [await result(call) for call in calls] == [number * 2 for number in range(50)]
    assert order == list(range(50))
    assert not queue.calls


async def test_exception_of_a_call_is_its_callers(make):
    def fail():
        raise ValueError("mine")

    queue = make()
    with pytest.raises(ValueError, match="mine"):
        await result(queue.submit(fail))
    assert await result(queue.submit(len, "abc")) == 3


async def test_as_many_calls_run_at_once_as_there_are_threads(make):
    queue, meeting = make(3), threading.Barrier(4)
    for _ in range(3):
        queue.submit(meeting.wait, LONG)
    meeting.wait(LONG)
    assert queue.waiting == 0


async def test_withdrawn_call_leaves_the_queue_at_once_with_all_that_it_holds(held):
    queue, go = held
    payload = Payload()
    alive = weakref.ref(payload)
    call = queue.submit(id, payload)
    del payload
    assert queue.waiting == 1
    call.withdraw()
    assert call.answer.cancelled()
    assert call not in queue.calls
    del call
    gc.collect()
    assert queue.waiting == 0
    assert alive() is None  # although the thread has not come to it
    go.set()
    assert await result(queue.submit(len, "ab")) == 2


@pytest.mark.parametrize("fails", [False, True])
async def test_thread_with_nothing_to_do_holds_nothing_of_its_last_call(make, fails):
    payload = Payload()
    alive, queue = weakref.ref(payload), make()

    def run(payload):
        if fails:
            raise ValueError("mine")

    call = queue.submit(run, payload)
    del payload
    gc.disable()  # nothing may need it
    try:
        await asyncio.wait([call.end()], timeout=LONG)
        assert isinstance(call.answer.exception(), ValueError) is fails
        del call
        await result(queue.submit(len, "a"))  # the thread has come back from the other
        assert alive() is None
    finally:
        gc.enable()


async def test_call_that_runs_cannot_be_withdrawn(make):
    queue, entered, go = make(), threading.Event(), threading.Event()

    def run():
        entered.set()
        assert go.wait(LONG)
        return 7

    call = queue.submit(run)
    assert entered.wait(LONG)
    call.withdraw()
    go.set()
    assert await result(call) == 7


async def test_call_whose_caller_has_left_is_over_when_it_ends(held):
    queue, go = held
    [call] = queue.calls
    call.answer.cancel()
    end = call.end()
    await asyncio.sleep(0)
    assert not end.done()
    assert call in queue.calls
    go.set()
    await asyncio.wait_for(asyncio.shield(end), LONG)
    assert not queue.calls
    assert call.end().done()


async def test_end_withdraws_what_waits_and_leaves_what_runs(held):
    queue, go = held
    [running] = queue.calls
    waiting = [queue.submit(len, "a") for _ in range(3)]
    queue.end()
    for call in waiting:
        with pytest.raises(asyncio.CancelledError):
            await call.answer
    with pytest.raises(RuntimeError):
        queue.submit(len, "a")
    assert not running.answer.done()
    go.set()
    await result(running)


async def test_calls_that_are_withdrawn_while_threads_take_others_are_lost_or_run_once(make):
    queue, ran, withdrawn, calls = make(3), [], 0, []
    for round_ in range(300):
        mine = [queue.submit(ran.append, 10 * round_ + number) for number in range(10)]
        for call in mine[::3]:
            call.withdraw()
            withdrawn += call.answer.cancelled()
        calls += mine
        if round_ % 10 == 0:
            await asyncio.sleep(0)
    await asyncio.wait([call.end() for call in calls], timeout=LONG)
    assert len(ran) == len(set(ran)) == len(calls) - withdrawn
    assert withdrawn > 0
    assert queue.waiting == 0
    assert not queue.calls


async def test_call_for_which_no_thread_can_begin_is_refused_and_the_next_has_one(
    make, monkeypatch
):
    queue, ran = make(), []

    def no_thread(*arguments, **options):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading, "_start_new_thread", no_thread, raising=False)
        patched.setattr(threading, "_start_joinable_thread", no_thread, raising=False)
        with pytest.raises(RuntimeError, match="new thread"):
            queue.submit(ran.append, 1)
    assert queue.waiting == 0
    assert not queue.calls
    await result(queue.submit(ran.append, 2))
    await result(queue.submit(ran.append, 3))
    assert ran == [2, 3]


def test_process_that_ended_no_queue_ends_when_its_calls_have():
    code = """
        import asyncio, threading
        from mlserver_core.executors.thread_queue import ThreadQueue

        begun, go = threading.Event(), threading.Event()

        def work():
            begun.set()
            go.wait()
            print("worked")

        async def leave():
            global idle, busy
            idle, busy = ThreadQueue(1, "idle"), ThreadQueue(1, "busy")
            await idle.submit(print, "idle").answer
            busy.submit(work)
            begun.wait()

        asyncio.run(leave())
        print("left")
        go.set()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (
        0,
        ["idle", "left", "worked"],
        "",
    )
