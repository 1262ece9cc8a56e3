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


CUSTOM = """
from aiohttp import web
from mlserver_core import MLModel, custom_handler

class Model(MLModel):
    @custom_handler(rest_path="/{name}/bytes", rest_method="POST")
    async def bytes(self, name: str, body: bytes) -> str:
        return str(len(body))

    @custom_handler(rest_path="/{name}/request", rest_method="POST")
    async def request(self, name: str, request: web.Request) -> str:
        return str(len(await request.read()))
"""


@pytest.fixture
def differing(serve, model_folder, tmp_path):
    """A server that takes bodies of 1000 bytes, with models that take fewer and more."""
    model_folder("default", implementation="echo")
    model_folder("small", implementation="echo", max_body_size=100)
    model_folder("large", implementation="echo", max_body_size=10_000)
    code = CUSTOM.replace("{name}", "custom").replace("name: str, ", "")
    model_folder("custom", code, implementation="models.Model", max_body_size=5000)
    return serve(tmp_path, "--set", "max_body_size=1000")


OWNER = """
import numpy as np
from mlserver_core import MLModel
from mlserver_core.codecs import NumpyCodec
from mlserver_core.types import InferenceResponse

class Owner(MLModel):
    async def predict(self, payload):
        array = payload.inputs[0].data.root
        facts = [array.flags.owndata, array.flags.aligned, array.flags.writeable]
        output = NumpyCodec.encode_output("y", np.array(facts, np.int8))
        return InferenceResponse(model_name=self.name, outputs=[output])
"""


def test_large_binary_tensor_is_not_copied_out_of_the_body_however_long_its_json_is(
    serve, model_folder, tmp_path, call
):
    model_folder("owner", OWNER, implementation="models.Owner")
    server = serve(tmp_path)
    parameters = {"binary_data_size": 80_000}
    tensor = {"name": "x", "shape": [10_000], "datatype": "FP64", "parameters": parameters}
    for more in range(16):
        text = json.dumps({"inputs": [tensor]}).encode() + b" " * more
        status, _, body = call(
            server,
            "POST",
            "/v2/models/owner/infer",
            text + bytes(80_000),
            {"Inference-Header-Content-Length": str(len(text))},
        )
        assert status == 200
        assert json.loads(body)["outputs"][0]["data"] == [0, 1, 1]


@pytest.mark.parametrize("length", ["", "-1", "a", "1" * 30, "\u0663"])
def test_header_that_is_no_length_is_a_400(shared_server, call, length):
    headers = {"Inference-Header-Content-Length": length.encode().decode("latin-1")}
    assert call(shared_server, "POST", INFER, BODY, headers)[0] == 400


def test_body_in_many_small_pieces_is_read(shared_server, call):
    pieces = [BODY[:-1], *[b" "] * 50_000, b"}"]
    status, _, body = call(shared_server, "POST", INFER, iter(pieces))
    assert status == 200
    assert json.loads(body)["outputs"][0]["data"] == [1, 2]


def padded(size):
    """An inference request of that many bytes."""
    return BODY[:-1] + b" " * (size - len(BODY)) + b"}"


@pytest.mark.parametrize(("name", "limit"), [("default", 1000), ("small", 100), ("large", 10_000)])
def test_models_own_limit_goes_before_the_servers_be_it_smaller_or_larger(
    differing, call, name, limit
):
    for path in ("infer", "generate", "infer_stream"):
        url = f"/v2/models/{name}/{path}"
        assert call(differing, "POST", url, padded(limit))[0] == 200
        packed = gzip.compress(padded(limit + 1))
        for body, headers in ((padded(limit + 1), {}), (packed, {"Content-Encoding": "gzip"})):
            status, _, answer = call(differing, "POST", url, body, headers)
            text = f"the request body is larger than max_body_size ({limit} bytes)"
            assert (status, json.loads(answer)) == (413, {"error": text})


def test_models_own_limit_holds_for_its_custom_handlers(differing, call):
    for path in ("/custom/bytes", "/custom/request"):
        assert call(differing, "POST", path, b"x" * 5000)[2] == b"5000"
        status, _, answer = call(differing, "POST", path, b"x" * 5001)
        text = "the request body is larger than max_body_size (5000 bytes)"
        assert (status, json.loads(answer)) == (413, {"error": text})


def test_body_for_an_unknown_model_is_bounded_by_the_server(differing, call):
    assert call(differing, "POST", "/v2/models/nope/infer", padded(1001))[0] == 413
    assert call(differing, "POST", "/v2/models/nope/infer", padded(1000))[0] == 404
