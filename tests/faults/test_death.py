"""A worker that ends, by whatever death, while clients ask."""

from __future__ import annotations

import pytest

#: What a model does to its worker, and what the log says of that.
DEATHS = {
    "killed": "killed by SIGKILL",
    "exit": "exit code 0",
    "segfault": "killed by SIGSEGV",
}


def test_a_worker_that_is_killed_is_replaced_and_nobody_is_told(begin, traffic, kill):
    server = begin(workers=2)
    with traffic(server) as load:
        for _ in range(2):
            load.wait_for_all_workers()
            pid = min(server.able())
            kill(pid)
            server.process.wait_for(f"(pid {pid}) has ended: killed by SIGKILL")
        load.wait_for_all_workers()
    load.check()  # the other one answers for it, also what it was at
    assert not load.fell()
    server.check_whole()


def test_while_the_only_worker_is_killed_the_server_is_not_ready(begin, traffic, kill):
    server = begin(workers=1)
    with traffic(server) as load:
        for _ in range(2):
            (pid,) = server.pids()
            kill(pid)
            server.process.wait_for(f"(pid {pid}) has ended: killed by SIGKILL")
            load.wait_for_answers()
    load.check("unavailable")
    assert load.count("unavailable")
    assert load.fell()
    server.check_whole()


def test_workers_that_are_killed_all_at_once_are_replaced(begin, traffic, kill):
    server = begin(workers=2)
    with traffic(server) as load:
        pids = server.pids()
        for pid in pids:
            kill(pid)
        for _ in pids:
            server.process.wait_for("has ended: killed by SIGKILL")
        load.wait_for_answers()
    load.check("unavailable")
    assert load.fell()
    server.check_whole()


@pytest.mark.parametrize(
    ("model", "deaths"), [("threaded", ["exit", "segfault"]), ("looped", ["killed", "exit"])]
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_ends_two_workers_is_refused_and_no_other(
    begin, traffic, until, workers, model, deaths
):
    """W23, W24: an exit code of 0 is a death like any other, and each is noticed."""
    server = begin(workers)
    with traffic(server) as load:
        for how in deaths:
            id = f"it-has-{how}"
            answer = server.ask(how, model, value=-1.0, id=id)
            server.process.wait_for(f"has ended: {DEATHS[how]}")
            if workers == 1:  # there is no other to ask
                assert (answer.outcome, answer.retry_after) == ("unavailable", "1")
                until(server.ready)
                answer = server.ask(how, model, value=-1.0, id=id)
            server.process.wait_for(f"Request {id} of model")
            assert answer.outcome == "quarantined"
            assert "ended two workers" in answer.text
            load.wait_for_all_workers()
            pids = server.pids()
            assert server.ask(how, model, value=-1.0).outcome == "quarantined"
            assert server.pids() == pids
    load.check("unavailable")
    assert server.log.count("is refused from now on") == len(deaths)
    server.check_whole()


@pytest.mark.parametrize("model", ["threaded", "looped"])
def test_a_model_that_ends_its_process_as_a_program_does_is_answered_an_error(
    begin, traffic, model
):
    """``sys.exit`` raises, so it ends no process where the server stands between."""
    server = begin(workers=1)
    pids = server.pids()
    with traffic(server) as load:
        answer = server.ask("sys_exit", model)
        assert (answer.outcome, "SystemExit" in answer.text) == ("failed", True)
        load.wait_for_answers()
    load.check()
    assert server.pids() == pids
    server.check_whole()
