"""A worker for which there is no memory left."""

from __future__ import annotations

import struct

import pytest

ROWS = 2**22


def large(server, how="double", model="threaded"):
    """Asks with 32 MB, as a client that sends tensors in binary."""
    return server.ask_binary(how, model, struct.pack(f"<{ROWS}d", *[1.0] * ROWS))


@pytest.mark.parametrize("model", ["threaded", "looped"])
def test_a_predict_that_asks_for_too_much_memory_is_answered_an_error(begin, traffic, model):
    server = begin(workers=1)
    pids = server.pids()
    with traffic(server) as load:
        for _ in range(3):
            answer = server.ask("allocate", model)
            assert (answer.outcome, "Unable to allocate" in answer.text) == ("failed", True)
        load.wait_for_answers()
    load.check()
    assert server.pids() == pids
    server.check_whole()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_a_worker_has_no_memory_for_is_refused(begin, traffic, until, workers):
    server = begin(workers)
    pids = server.pids()
    with traffic(server) as load:
        limited = set()
        until(lambda: limited.add(int(server.ask("limit").text)) or limited == set(pids))
        assert large(server) == "unavailable"
        load.wait_for_answers()
    load.check()
    assert server.pids() == pids
    server.check_whole()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_with_no_memory_at_all_is_replaced(begin, traffic, workers):
    server = begin(workers)
    pids = server.pids()
    with traffic(server) as load:
        assert server.ask("leak").outcome in {"failed", "unavailable", "quarantined"}
        server.process.wait_for("has ended")
        load.wait_for_all_workers()
    assert server.pids() != pids
    load.check("unavailable", "failed")
    server.check_whole()
