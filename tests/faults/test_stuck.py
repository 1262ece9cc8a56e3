"""A worker that still runs and answers no more."""

from __future__ import annotations

import json
import signal
import socket

import pytest


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_stopped_is_replaced(begin, traffic, kill, workers):
    server = begin(workers, worker_heartbeat_timeout=1)
    with traffic(server) as load:
        pid = min(server.able())
        kill(pid, signal.SIGSTOP)
        server.process.wait_for(f"(pid {pid}) has ended: gave no sign of life for 1 seconds")
        load.wait_for_answers()
    load.check(*["unavailable"][: 2 - workers])  # with two the other answers for it
    assert load.fell() is (workers == 1)
    server.check_whole()


def test_a_server_that_was_stopped_itself_blames_no_worker(begin, traffic, kill, until):
    server = begin(workers=2, worker_heartbeat_timeout=3)
    pids = server.pids()
    with traffic(server) as load:
        kill(server.pid, signal.SIGSTOP)
        until(lambda: not load.moves(seconds=6))
        kill(server.pid, signal.SIGCONT)
        load.wait_for_answers()
    load.check()
    assert server.pids() == pids
    server.check_whole()


@pytest.mark.parametrize("model", ["threaded", "looped"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_hangs_is_late_and_its_worker_is_ended(
    begin, traffic, until, workers, model
):
    server = begin(workers, request_timeout=1)
    with traffic(server) as load:
        answer = server.ask("hang", model, value=-1.0, id="stuck")
        assert answer.outcome == "late"
        assert "request_timeout" in answer.text
        if model == "threaded":  # who holds up the event loop is not known: all are late
            server.process.wait_for("is still at request stuck of model 'threaded'")
        server.process.wait_for("was stuck in it; another is started")
        load.wait_for_answers()
        until(lambda: server.able() and server.ready())
        assert server.ask("hang", model, value=-1.0, id="again").outcome == "late"
        server.process.wait_for("Request again of model")
        until(lambda: server.able() and server.ready())
        assert server.ask("hang", model, value=-1.0, id="third").outcome == "quarantined"
        until(server.ready)
        load.wait_for_answers()
    load.check("late", "unavailable")  # late is what waited behind it
    server.check_whole()


@pytest.mark.parametrize(
    ("model", "path"), [("threaded", "infer"), ("looped", "infer"), ("looped", "infer_stream")]
)
def test_a_worker_is_ended_whose_request_hangs_when_its_client_has_left(begin, model, path):
    server = begin(workers=1, request_timeout=1)
    tensor = {"name": "hang", "shape": [1, 1], "datatype": "FP64", "data": [-1.0]}
    body = json.dumps({"id": "left", "inputs": [tensor]})
    head = f"POST /v2/models/{model}/{path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", server.process.http_port)) as client:
        client.sendall(f"{head}\r\n\r\n{body}".encode())
        server.wait_for_file("began-left", model)
    server.process.wait_for("is still at request left")
    server.process.wait_for(f"has ended: a request of model '{model}' was stuck in it")
    server.sent[model] += 1
    server.check_whole()
