from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest

INFER = "/v2/models/echo/infer"
BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2]}]}
).encode()


def deflate_raw(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.fixture(scope="module")
def tight(served):
    """A server that takes bodies of 100 000 bytes."""
    return served({"echo": None}, max_body_size=100_000)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", deflate_raw),
        ("identity", bytes),
    ],
    ids=["gzip", "GZIP", "deflate", "raw deflate", "identity"],
)
def test_compressed_body_is_read(shared_server, call, coding, pack):
    headers = {"Content-Encoding": coding}
    status, _, body = call(shared_server, "POST", INFER, pack(BODY), headers)
    assert status == 200
    assert json.loads(body)["outputs"][0]["data"] == [1, 2]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_broken_compression_is_a_400(shared_server, call, coding):
    headers = {"Content-Encoding": coding}
    status, _, body = call(shared_server, "POST", INFER, b"\x1f\x8bxx", headers)
    assert status == 400
    assert list(json.loads(body)) == ["error"]


@pytest.mark.parametrize("coding", ["compress", "gzip, gzip"])
def test_other_coding_is_refused_with_what_to_send(shared_server, call, coding):
    headers = {"Content-Encoding": coding}
    status, _, body = call(shared_server, "POST", INFER, BODY, headers)
    assert (status, json.loads(body)) == (
        415,
        {
            "error": f"the request body has the content coding {coding!r}; send it as gzip or "
            "deflate, or plain"
        },
    )


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_coding_that_may_be_unknown_to_the_http_library_has_our_error_shape(
    shared_server, call, coding
):
    headers = {"Content-Encoding": coding}
    status, _, body = call(shared_server, "POST", INFER, BODY, headers)
    assert status in (400, 415)
    assert list(json.loads(body)) == ["error"]


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(tight, call, coding, pack):
    for size, status in ((100_000, 200), (100_001, 413)):
        padded = BODY + b" " * (size - len(BODY))
        assert call(tight, "POST", INFER, padded)[0] == status
        assert call(tight, "POST", INFER, pack(padded), {"Content-Encoding": coding})[0] == status


def test_body_that_comes_in_chunks_is_bounded_as_well(tight, call):
    status, _, body = call(tight, "POST", INFER, iter([BODY, *[b" " * 10_000] * 10]))
    assert (status, json.loads(body)) == (
        413,
        {"error": "the request body is larger than max_body_size (100000 bytes)"},
    )


def peak(server):
    """The most memory that a server has held, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak")
@pytest.mark.parametrize(("coding", "wbits"), [("gzip", 31), ("deflate", 15)])
def test_bomb_is_refused_before_it_takes_memory(tight, call, coding, wbits):
    packer = zlib.compressobj(9, wbits=wbits)
    zeros = bytes(2**20)
    bomb = b"".join(packer.compress(zeros) for _ in range(90)) + packer.flush()
    assert len(bomb) < 100_000
    call(tight, "POST", INFER, BODY)
    before = peak(tight)
    for _ in range(5):
        status, _, body = call(tight, "POST", INFER, bomb, {"Content-Encoding": coding})
        assert status == 413
        assert list(json.loads(body)) == ["error"]
    assert peak(tight) - before < 16 * 2**20


def test_repository_index_is_bounded_too(tight, call):
    status, _, body = call(tight, "POST", "/v2/repository/index", b" " * 100_001)
    assert status == 413
    assert list(json.loads(body)) == ["error"]
