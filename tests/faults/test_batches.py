"""Requests that are asked together: one ends the worker, or some are left by their clients."""

from __future__ import annotations

import json
import socket

import pytest

ROWS = 4


@pytest.fixture
def serve_batches(begin, write_as):
    """Starts a server whose models are asked four rows together; less after ``seconds``."""

    def start(workers, seconds=600.0):
        values = {"max_batch_size": ROWS, "max_batch_time": seconds, "batch_when_idle": False}
        for model in ("threaded", "looped"):
            write_as(model, **values)
        return begin(workers, write=False)

    return start


def ask_together(server, how, values, model="threaded"):
    asking = [
        server.in_thread(how, model, value=float(value), id=f"row{value}") for value in values
    ]
    return [each.answer().outcome for each in asking]


@pytest.mark.parametrize("workers", [1, 2])
def test_of_a_batch_that_ends_workers_only_the_culprit_is_refused(serve_batches, until, workers):
    server = serve_batches(workers, seconds=1.0)
    how = "double unless negative"
    outcomes = ask_together(server, how, [1, 2, 3, -1])
    if workers == 1:  # none is left that could be asked again
        assert outcomes == ["unavailable"] * ROWS
        until(server.ready)  # and from now on each is asked alone
        outcomes = ask_together(server, how, [1, 2, 3, -1])
    server.process.wait_for("Request row-1 of model")
    assert outcomes[-1] == "quarantined"
    assert {"ok", "unavailable"}.issuperset(outcomes[:-1])  # while both are being replaced
    until(lambda: server.ready() and len(server.able()) == workers)
    pids = server.pids()
    assert ask_together(server, how, [1, 2, 3, -1]) == ["ok", "ok", "ok", "quarantined"]
    assert server.pids() == pids
    assert server.log.count("has ended two workers") == 1
    check(server)


def test_clients_that_leave_a_batch_harm_nobody_in_it(serve_batches, until):
    server = serve_batches(1)
    staying = [server.in_thread("wait", "looped", value=value) for value in (1.0, 2.0)]
    until(lambda: in_flight(server) == len(staying))
    leaving = [connect(server, 3.0)]
    until(lambda: in_flight(server) == 3)
    leaving.append(connect(server, 4.0))  # the last, which names the batch
    server.wait_for_file("began-batch-4", "looped")
    for each in leaving:
        each.close()
    until(lambda: server.failures("looped") == len(leaving))
    server.file("go-batch-4", "looped").touch()
    assert [each.answer().outcome for each in staying] == ["ok", "ok"]
    assert not server.file("left-batch-4", "looped").exists()
    server.sent["looped"] += len(leaving)
    check(server)


def test_a_client_that_leaves_before_its_batch_is_whole_leaves_its_place(serve_batches, until):
    server = serve_batches(1)
    leaving = connect(server, 9.0)
    until(lambda: in_flight(server) == 1)
    leaving.close()
    until(lambda: server.failures("looped") == 1)
    server.sent["looped"] += 1
    server.file("go-batch-4", "looped").touch()
    staying = []
    for number in range(1, ROWS + 1):
        staying.append(server.in_thread("wait", "looped", value=float(number)))
        until(lambda number=number: in_flight(server) in (number, 0))
    assert [each.answer().outcome for each in staying] == ["ok"] * ROWS
    check(server)


def test_a_batch_that_all_its_clients_leave_is_cancelled(serve_batches, until):
    server = serve_batches(1)
    leaving = []
    for number in range(1, ROWS + 1):
        leaving.append(connect(server, float(number)))
        until(lambda number=number: in_flight(server) == number)
    server.wait_for_file("began-batch-4", "looped")
    for each in leaving:
        each.close()
    server.wait_for_file("left-batch-4", "looped")
    server.sent["looped"] += ROWS
    check(server)


def check(server):
    """As ``check_whole``, where nothing is asked alone."""
    for model in ("threaded", "looped"):
        assert ask_together(server, "double", range(1, ROWS + 1), model) == ["ok"] * ROWS
    server.check_whole(ask=False)


def in_flight(server):
    """The requests that are being answered over REST."""
    scraped = server.process.scrape()
    labels = scraped.series("rest_server_requests_in_progress")
    values = (scraped.value("rest_server_requests_in_progress", **each) for each in labels)
    return sum(values)


def connect(server, value):
    """Asks over a connection that can be closed."""
    tensor = {"name": "wait", "shape": [1, 1], "datatype": "FP64", "data": [value]}
    body = json.dumps({"inputs": [tensor]})
    connection = socket.create_connection(("127.0.0.1", server.process.http_port))
    head = f"POST /v2/models/looped/infer HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}"
    connection.sendall(f"{head}\r\n\r\n{body}".encode())
    return connection
