from __future__ import annotations

import asyncio
import os
import tracemalloc
import zlib
from pathlib import Path

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.errors import InvalidRequest, MLServerError, TooLarge, Unsupported
from mlserver_core.grpc.compression import compress, decompress, reply_encoding
from mlserver_core.grpc.messages import load_messages

REQUEST = load_messages().get("inference.ModelInferRequest")
REPLY = load_messages().get("inference.ModelInferResponse")
INFER = "/inference.GRPCInferenceService/ModelInfer"
WINDOW = {"gzip": 31, "deflate": 15}
ENCODINGS = sorted(WINDOW)


def pack(encoding, data):
    work = zlib.compressobj(9, wbits=WINDOW[encoding])
    return work.compress(data) + work.flush()


def bomb(encoding, size):
    work, zeros = zlib.compressobj(9, wbits=WINDOW[encoding]), bytes(2**20)
    return b"".join([*(work.compress(zeros) for _ in range(size // 2**20)), work.flush()])


def echo_request(values, model="echo"):
    message = REQUEST(model_name=model)
    tensor = message.inputs.add(name="x", datatype="UINT8")
    tensor.shape.append(len(values))
    message.raw_input_contents.append(values)
    return message.SerializeToString()


def run(coroutine):
    return asyncio.run(coroutine)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(deadline=None)  # the larger ones take a thread, which a busy machine starts late
@given(data=st.binary(max_size=300) | st.binary(max_size=20).map(lambda part: part * 20_000))
def test_what_is_compressed_comes_back(encoding, data):
    assert run(decompress(encoding, pack(encoding, data), len(data))) == data
    assert run(decompress(encoding, pack(encoding, data), -1)) == data
    made = run(compress(encoding, data))
    if made is not None:
        assert len(made) < len(data)
        assert zlib.decompress(made, WINDOW[encoding]) == data


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [10, 65_535, 65_536, 65_537, 1_000_000])
def test_limit_counts_the_decompressed_bytes(encoding, size):
    packed = pack(encoding, bytes(size))
    assert run(decompress(encoding, packed, size)) == bytes(size)
    with pytest.raises(TooLarge, match=rf"grpc_max_message_length \({size - 1}\)"):
        run(decompress(encoding, packed, size - 1))


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.binary(min_size=1, max_size=200), cut=st.integers(min_value=1, max_value=10_000))
def test_a_truncated_message_is_refused(encoding, data, cut):
    packed = pack(encoding, data * 100)
    with pytest.raises(InvalidRequest, match="is cut off"):
        run(decompress(encoding, packed[: max(0, len(packed) - cut)], -1))


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(more=st.binary(min_size=1, max_size=200))
def test_bytes_after_the_end_are_refused(encoding, more):
    packed = pack(encoding, b"abc")
    for added in (more, packed, bytes(70_000)):
        with pytest.raises(InvalidRequest, match="bytes follow the end"):
            run(decompress(encoding, packed + added, -1))


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.binary(min_size=1, max_size=200))
def test_garbage_is_refused_and_nothing_else_comes_out(encoding, data):
    try:
        plain = run(decompress(encoding, data, 1000))
    except (InvalidRequest, TooLarge):
        return
    assert zlib.decompress(data, WINDOW[encoding]) == plain


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bomb_takes_no_more_memory_than_the_limit(encoding):
    packed = bomb(encoding, 2**29)
    limit = 4 * 2**20
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            run(decompress(encoding, packed, limit))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit * 5 / 4 + 2**20  # an array that grows has an eighth more, and chunks


@pytest.mark.parametrize(("size", "at_once"), [(4096, True), (4097, False)])
async def test_large_messages_are_decompressed_off_the_event_loop(size, at_once):
    data = pack("gzip", os.urandom(size))[:size]  # cut off, so that the size is exact
    task = asyncio.ensure_future(decompress("gzip", data, -1))
    await asyncio.sleep(0)
    assert task.done() is at_once
    with pytest.raises(InvalidRequest, match="is cut off"):
        await task


@pytest.mark.parametrize(("size", "at_once"), [(65_536, True), (65_537, False)])
async def test_large_messages_are_compressed_off_the_event_loop(size, at_once):
    task = asyncio.ensure_future(compress("gzip", bytes(size)))
    await asyncio.sleep(0)
    assert task.done() is at_once
    assert zlib.decompress(await task, 31) == bytes(size)


@pytest.mark.parametrize("data", [bytes(1023), os.urandom(5000)])
def test_what_gains_nothing_is_not_compressed(data):
    assert run(compress("gzip", data)) is None


def test_other_encodings_are_unsupported_and_named():
    with pytest.raises(Unsupported, match="'snappy' cannot be read; expected one of identity"):
        run(decompress("snappy", b"", -1))


@pytest.mark.parametrize("encoding", [None, "identity"])
def test_a_flag_without_an_encoding_is_internal(encoding):
    with pytest.raises(MLServerError, match="no grpc-encoding") as caught:
        run(decompress(encoding, b"abc", -1))
    assert caught.value.status_code == 500


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"grpc-encoding": "identity"}, None),
        ({"grpc-encoding": "snappy"}, None),
        ({"grpc-encoding": "gzip"}, "gzip"),
        ({"grpc-encoding": "deflate", "grpc-accept-encoding": "identity, deflate"}, "deflate"),
        ({"grpc-encoding": "gzip", "grpc-accept-encoding": "identity,deflate,gzip"}, "gzip"),
        ({"grpc-encoding": "gzip", "grpc-accept-encoding": "identity,deflate"}, None),
        ({"grpc-accept-encoding": "gzip"}, None),
    ],
)
def test_reply_is_compressed_as_the_request_if_the_client_can_read_it(headers, expected):
    assert reply_encoding(headers) == expected


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compressed_request_gets_a_compressed_reply(shared_server, connect, frame, encoding):
    client = connect(shared_server)
    stream = client.open(grpc_encoding=encoding)
    client.send(stream, frame(pack(encoding, echo_request(bytes(100_000))), 1))
    headers = client.trailers(stream)
    assert headers["grpc-status"] == "0"
    assert headers["grpc-encoding"] == encoding
    assert headers["grpc-accept-encoding"] == "identity, deflate, gzip"
    ((flag, data),) = client.messages(stream)
    assert flag == 1
    reply = REPLY.FromString(zlib.decompress(data, WINDOW[encoding]))
    assert list(reply.raw_output_contents) == [bytes(100_000)]


@pytest.mark.parametrize("values", [b"abc", os.urandom(5000)], ids=["small", "random"])
def test_reply_that_would_not_shrink_is_not_flagged(shared_server, connect, frame, values):
    client = connect(shared_server)
    stream = client.open(grpc_encoding="gzip")
    client.send(stream, frame(pack("gzip", echo_request(values)), 1))
    assert client.trailers(stream)["grpc-status"] == "0"
    ((flag, data),) = client.messages(stream)
    assert flag == 0
    assert list(REPLY.FromString(data).raw_output_contents) == [values]


def test_plain_call_gets_a_plain_reply_that_says_what_is_accepted(shared_server, connect, frame):
    client = connect(shared_server)
    stream = client.open(grpc_accept_encoding="gzip")
    client.send(stream, frame(echo_request(bytes(100_000))))
    headers = client.trailers(stream)
    assert headers["grpc-accept-encoding"] == "identity, deflate, gzip"
    assert "grpc-encoding" not in headers
    assert [flag for flag, _ in client.messages(stream)] == [0]


def test_client_that_cannot_read_its_own_encoding_gets_plain_replies(shared_server, connect, frame):
    client = connect(shared_server)
    stream = client.open(grpc_encoding="gzip", grpc_accept_encoding="identity,deflate")
    client.send(stream, frame(pack("gzip", echo_request(bytes(100_000))), 1))
    assert "grpc-encoding" not in client.trailers(stream)
    assert [flag for flag, _ in client.messages(stream)] == [0]


def test_unflagged_message_of_a_compressing_client_is_read(shared_server, connect, frame):
    client = connect(shared_server)
    assert client.call(frame(echo_request(b"abc")), grpc_encoding="gzip")["grpc-status"] == "0"


def test_unknown_encoding_is_unimplemented_and_told_what_is_accepted(shared_server, connect, frame):
    headers = connect(shared_server).call(frame(b"abc", 1), grpc_encoding="snappy")
    assert headers["grpc-status"] == "12"
    assert headers["grpc-accept-encoding"] == "identity, deflate, gzip"
    assert "snappy" in headers["grpc-message"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"garbage", "the message is no gzip: Error -3"),
        (pack("gzip", b"abc")[:-3], "the gzip message is cut off"),
        (pack("gzip", b"abc") * 2, "bytes follow the end of the gzip message"),
        (b"", "the gzip message is cut off"),
    ],
)
def test_damaged_message_is_an_invalid_argument(shared_server, connect, frame, data, text):
    headers = connect(shared_server).call(frame(data, 1), grpc_encoding="gzip")
    assert headers["grpc-status"] == "3"
    assert headers["grpc-message"].startswith(text)


def peak_memory(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_bomb_is_refused_and_the_server_stays_small(serve, models_folder, connect, frame):
    server = serve(models_folder, "--set", "grpc_max_message_length=2000000")
    client = connect(server)
    small = pack("gzip", echo_request(bytes(1_000_000)))
    assert client.call(frame(small, 1), grpc_encoding="gzip")["grpc-status"] == "0"
    before = peak_memory(server)
    packed = bomb("gzip", 2**30)
    assert len(packed) < 2_000_000
    headers = client.call(frame(packed, 1), grpc_encoding="gzip")
    assert headers["grpc-status"] == "8"
    assert headers["grpc-message"].endswith("when it is decompressed")
    assert peak_memory(server) - before < 32 * 2**20
    assert client.call(frame(small, 1), grpc_encoding="gzip")["grpc-status"] == "0"


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_grpcio_compresses_both_ways(shared_server, algorithm):
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        call = channel.unary_unary(INFER, response_deserializer=REPLY.FromString)
        for size in (0, 10, 1_000_000):
            reply = call(echo_request(bytes(size)), compression=algorithm)
            assert list(reply.raw_output_contents) == [bytes(size)]
