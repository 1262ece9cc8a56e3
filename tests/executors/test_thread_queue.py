from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import CancelledError

import pytest

from mlserver_core.executors.thread_queue import ThreadQueue

LONG = 30


class Payload:
    """What a call holds."""


@pytest.fixture
def make():
    """Makes queues, and ends their threads at the end."""
    queues = []

    def make_queue(threads=1):
        queues.append(ThreadQueue(threads, "of-this-test"))
        return queues[-1]

    yield make_queue
    for queue in queues:
        queue.end()


@pytest.fixture
def held(make):
    """A queue whose only thread waits, and what lets it go on."""
    queue, entered, go = make(), threading.Event(), threading.Event()

    def hold():
        entered.set()
        assert go.wait(LONG)

    queue.submit(hold)
    assert entered.wait(LONG)
    yield queue, go
    go.set()


def test_calls_run_in_order_and_give_what_they_return(make):
    queue, order = make(), []

    def run(number):
        order.append(number)
        return number * 2

    calls = [queue.submit(run, number) for number in range(50)]
    assert [call.result(LONG) for call in calls] == [number * 2 for number in range(50)]
    assert order == list(range(50))


def test_exception_of_a_call_is_its_callers(make):
    def fail():
        raise ValueError("mine")

    queue = make()
    with pytest.raises(ValueError, match="mine"):
        queue.submit(fail).result(LONG)
    assert queue.submit(len, "abc").result(LONG) == 3


def test_as_many_calls_run_at_once_as_there_are_threads(make):
    queue, meeting = make(3), threading.Barrier(4)
    for _ in range(3):
        queue.submit(meeting.wait, LONG)
    meeting.wait(LONG)
    assert queue.waiting == 0


def test_cancelled_call_leaves_the_queue_at_once_with_all_that_it_holds(held):
    queue, go = held
    payload = Payload()
    alive = weakref.ref(payload)
    call = queue.submit(id, payload)
    del payload
    assert queue.waiting == 1
    assert call.cancel()
    del call
    gc.collect()
    assert queue.waiting == 0
    assert alive() is None  # although the thread has not come to it
    go.set()
    assert queue.submit(len, "ab").result(LONG) == 2


def test_call_that_runs_cannot_be_cancelled(make):
    queue, entered, go = make(), threading.Event(), threading.Event()

    def run():
        entered.set()
        assert go.wait(LONG)
        return 7

    call = queue.submit(run)
    assert entered.wait(LONG)
    assert not call.cancel()
    go.set()
    assert call.result(LONG) == 7


def test_end_cancels_what_waits_and_leaves_what_runs(held):
    queue, go = held
    waiting = [queue.submit(len, "a") for _ in range(3)]
    queue.end()
    for call in waiting:
        with pytest.raises(CancelledError):
            call.result(LONG)
    with pytest.raises(RuntimeError):
        queue.submit(len, "a")
    go.set()


def test_many_threads_that_submit_and_cancel_lose_no_call(make):
    queue, ran = make(2), []

    def work(first):
        calls = [queue.submit(ran.append, first + number) for number in range(500)]
        cancelled = [call.cancel() for call in calls[::3]]
        for call, is_cancelled in zip(calls[::3], cancelled, strict=True):
            if not is_cancelled:
                call.result(LONG)
        for number, call in enumerate(calls):
            if number % 3:
                call.result(LONG)
        kept.append(len(calls) - sum(cancelled))

    kept = []
    threads = [threading.Thread(target=work, args=(1000 * each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert len(ran) == len(set(ran)) == sum(kept)
    assert queue.waiting == 0


def test_call_for_which_no_thread_can_begin_is_refused_and_the_next_has_one(make, monkeypatch):
    queue, ran = make(), []

    def no_thread(*arguments, **options):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading, "_start_new_thread", no_thread, raising=False)
        patched.setattr(threading, "_start_joinable_thread", no_thread, raising=False)
        with pytest.raises(RuntimeError, match="new thread"):
            queue.submit(ran.append, 1)
    assert queue.waiting == 0
    queue.submit(ran.append, 2).result(LONG)
    queue.submit(ran.append, 3).result(LONG)
    assert ran == [2, 3]
