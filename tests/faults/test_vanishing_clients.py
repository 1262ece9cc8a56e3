"""Clients that vanish, at every stage. What is counted of them is a failure of their model, once
it has been asked; nothing else of them stays.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import grpclib.client
import pytest

from mlserver_core.grpc.client import GrpcInferenceServiceStub

HOW_LARGE = 2**22


@pytest.fixture
def connect(shared):
    """Opens a connection to the server, over REST."""
    opened = []

    def open_one():
        opened.append(socket.create_connection(("127.0.0.1", shared.process.http_port)))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def vanish(connection):
    """As a client whose machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def request(how, id, model="threaded", path="infer", **more):
    tensor = {"name": how, "shape": [1, 1], "datatype": "FP64", "data": [1.0]}
    body = json.dumps({"id": id, "inputs": [tensor], **more}).encode()
    head = f"POST /v2/models/{model}/{path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}"
    return f"{head}\r\nContent-Type: application/json\r\n\r\n".encode(), body


@pytest.mark.parametrize("part", [0, 20, -1, "body"])
@pytest.mark.parametrize("end", [socket.socket.close, vanish])
def test_while_it_sends(shared, connect, part, end):
    head, body = request("double", "unsent")
    connection = connect()
    connection.sendall(head + body[:20] if part == "body" else head[:part])
    end(connection)
    shared.check_whole()


@pytest.mark.parametrize("end", [socket.socket.close, vanish])
def test_while_it_waits_in_the_queue(shared, connect, until, end):
    def sent():
        return shared.process.scrape().value("parallel_request_queue_count")

    names = f"before-{end.__name__}", f"queued-{end.__name__}"
    first = shared.in_thread("wait", id=names[0])
    shared.wait_for_file(f"began-{names[0]}")
    before = sent()
    connection = connect()
    connection.sendall(b"".join(request("wait", names[1])))
    until(lambda: sent() > before)
    failures = shared.failures("threaded")
    end(connection)
    until(lambda: shared.failures("threaded") > failures)
    shared.sent["threaded"] += 1
    assert shared.ask(model="looped").outcome == "ok"  # the worker has read of it too
    shared.file(f"go-{names[0]}").touch()
    assert first.answer().outcome == "ok"
    assert shared.ask().outcome == "ok"
    assert not shared.file(f"began-{names[1]}").exists()
    shared.check_whole()


@pytest.mark.parametrize("model", ["threaded", "looped"])
@pytest.mark.parametrize("end", [socket.socket.close, vanish])
def test_while_the_model_works_for_it(shared, connect, model, end):
    id = f"running-{end.__name__}"
    connection = connect()
    connection.sendall(b"".join(request("wait", id, model)))
    shared.wait_for_file(f"began-{id}", model)
    end(connection)
    shared.wait_for_file(f"left-{id}", model)
    shared.sent[model] += 1
    shared.check_whole()


@pytest.mark.parametrize("model", ["threaded", "looped"])
def test_while_the_model_works_for_it_over_grpc(shared, message, model):
    async def ask():
        host, port = shared.process.grpc_address.split(":")
        channel = grpclib.client.Channel(host, int(port))
        stub = GrpcInferenceServiceStub(channel)
        asking = asyncio.ensure_future(stub.model_infer(message(model, "wait", 1.0, "grpc")))
        await asyncio.to_thread(shared.wait_for_file, "began-grpc", model)
        channel.close()
        await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(ask())
    shared.wait_for_file("left-grpc", model)
    shared.sent[model] += 1
    shared.check_whole()


@pytest.mark.parametrize("end", [socket.socket.close, vanish])
def test_while_a_large_answer_is_written_that_it_does_not_read(shared, connect, end):
    tensor = {"name": "double", "shape": [HOW_LARGE, 1], "datatype": "FP64"}
    tensor["parameters"] = {"binary_data_size": HOW_LARGE * 8}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    described = json.dumps(asked).encode()
    connection = connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = (
        "POST /v2/models/threaded/infer HTTP/1.1\r\nHost: test\r\n"
        f"Inference-Header-Content-Length: {len(described)}\r\n"
        f"Content-Length: {len(described) + HOW_LARGE * 8}\r\n\r\n"
    )
    connection.sendall(head.encode() + described + bytes(HOW_LARGE * 8))
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    end(connection)
    shared.sent["threaded"] += 1
    shared.check_whole()


@pytest.mark.parametrize("end", [socket.socket.close, vanish])
def test_in_the_middle_of_a_stream_that_it_does_not_read(shared, connect, end):
    id = f"sse-{end.__name__}"
    connection = connect()
    connection.sendall(b"".join(request("flow", id, "looped", "infer_stream")))
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    end(connection)
    shared.wait_for_file(f"left-{id}", "looped")
    shared.sent["looped"] += 1
    shared.check_whole()


@pytest.mark.parametrize("how", ["flow", "read"])
@pytest.mark.parametrize("leave", ["cancel", "close"])
def test_in_the_middle_of_a_stream_over_grpc(shared, message, how, leave):
    """In the one the model answers all the time, in the other it waits for the next request."""
    id = f"{leave}-{how}"

    async def ask():
        host, port = shared.process.grpc_address.split(":")
        channel = grpclib.client.Channel(host, int(port))
        more = asyncio.Event()

        async def requests():
            yield message("looped", how, 1.0, id)
            await more.wait()

        async def read():
            answers = GrpcInferenceServiceStub(channel).model_stream_infer(requests())
            async for answer in answers:
                assert answer.outputs
                answered.set()

        answered = asyncio.Event()
        reading = asyncio.ensure_future(read())
        await asyncio.wait_for(answered.wait(), 25)
        reading.cancel() if leave == "cancel" else channel.close()
        await asyncio.gather(reading, return_exceptions=True)
        await asyncio.to_thread(shared.wait_for_file, f"left-{id}", "looped")
        channel.close()

    asyncio.run(ask())
    shared.sent["looped"] += 1
    shared.check_whole()
