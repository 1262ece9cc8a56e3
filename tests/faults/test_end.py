"""The end of a server, asked for or not: nobody loses an answer, and nothing is left."""

from __future__ import annotations

import signal

import pytest


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_no_request(begin, write_as, traffic, workers):
    """A connection may be closed at the moment at which its client sends a request, but then no
    model has seen that.
    """
    for model in ("threaded", "looped"):
        write_as(model, parameters={"extra": {"log": True}})
    server = begin(workers, write=False)
    with traffic(server) as load:
        pids = {server.pid, *server.pids()}
        going = [server.in_thread("wait", model, id="last") for model in ("threaded", "looped")]
        for model in ("threaded", "looped"):
            server.wait_for_file("began-last", model)
        server.process.process.send_signal(signal.SIGTERM)
        server.process.wait_for("Stopping on SIGTERM")
        for model in ("threaded", "looped"):
            server.file("go-last", model).touch()
        assert [each.answer().outcome for each in going] == ["ok", "ok"]
        assert server.process.wait() == 0
    load.check("unavailable", "refused", "cut off")
    logs = [each.read_text().split() for each in server.folder.glob("*/answered-*")]
    worked_on = {float(value) for values in logs for value in values}
    assert worked_on.issuperset(each.value for each in load.answers if each.outcome == "ok")
    assert worked_on.isdisjoint(each.value for each in load.answers if each.outcome != "ok")
    server.check_gone(pids)


@pytest.mark.parametrize("how", ["idle", "stopped", "threaded", "looped"])
def test_workers_end_with_a_server_that_is_killed(begin, until, kill, how):
    """Whatever they are doing: also one that is stopped, and one whose event loop stands still."""
    server = begin(workers=2)
    pids = {server.pid, *server.pids()}
    if how == "stopped":
        for pid in server.pids():
            kill(pid, signal.SIGSTOP)
    elif how != "idle":
        server.in_thread("hang", how, id="left")
        server.wait_for_file("began-left", how)
    kill(server.pid)
    assert server.process.wait() == -signal.SIGKILL
    server.check_gone(pids)
