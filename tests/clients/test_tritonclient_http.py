from __future__ import annotations

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

tritonclient = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")

ARRAYS = [
    ("BOOL", np.array([[True, False]])),
    ("UINT8", np.array([[0, 255]], "uint8")),
    ("UINT16", np.array([[0, 65535]], "uint16")),
    ("UINT32", np.array([[0, 2**32 - 1]], "uint32")),
    ("UINT64", np.array([[0, 2**64 - 1]], "uint64")),
    ("INT8", np.array([[-128, 127]], "int8")),
    ("INT16", np.array([[-32768, 32767]], "int16")),
    ("INT32", np.array([[-(2**31), 2**31 - 1]], "int32")),
    ("INT64", np.array([[-(2**63), 2**63 - 1]], "int64")),
    ("FP16", np.array([[0.1, -6e4]], "float16")),
    ("FP32", np.array([[0.1, -3e38]], "float32")),
    ("FP64", np.array([[0.1, -1e300]], "float64")),
    ("BYTES", np.array([["a", "Grüße"]], dtype=object)),
]


@pytest.fixture
def client(shared_server):
    with tritonclient.InferenceServerClient(f"127.0.0.1:{shared_server.http_port}") as client:
        yield client


WAYS = ["json", "binary"]


def send(client, datatype, array, there, back, **options):
    """Sends a tensor to the echo one way and asks for it the other."""
    tensor = tritonclient.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=there == "binary")
    wanted = [tritonclient.InferRequestedOutput("x", binary_data=back == "binary")]
    return client.infer("echo", [tensor], outputs=wanted, request_id="42", **options)


@pytest.mark.parametrize("back", WAYS)
@pytest.mark.parametrize("there", WAYS)
@pytest.mark.parametrize(("datatype", "array"), ARRAYS, ids=[each[0] for each in ARRAYS])
def test_every_datatype_comes_back_as_it_went(client, datatype, array, there, back):
    if datatype == "FP16" and there == "json":
        pytest.skip("tritonclient sends FP16 binary only")
    result = send(client, datatype, array, there, back)
    got = result.as_numpy("x")
    if datatype == "BYTES":
        got = np.array([[each if isinstance(each, str) else each.decode() for each in got[0]]])
    assert got.tolist() == array.tolist()
    assert result.get_response()["id"] == "42"
    assert ("data" in result.get_response()["outputs"][0]) == (back == "json")


def test_bfloat16_comes_back_as_it_went(client):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([[0.5, -3e38]], ml_dtypes.bfloat16)
    tensor = tritonclient.InferInput("x", [1, 2], "BF16")
    try:
        tensor.set_data_from_numpy(array)
    except InferenceServerException:  # as clients before ml_dtypes want it
        tensor.set_data_from_numpy(array.astype("float32"))
    got = client.infer("echo", [tensor]).as_numpy("x")
    assert got.astype("float32").tolist() == array.astype("float32").tolist()


def test_binary_is_what_the_client_does_unless_told_otherwise(client):
    array = np.array([["a", "Gr\u00fc\u00dfe", b"\xff\x00"]], dtype=object)
    tensor = tritonclient.InferInput("x", [1, 3], "BYTES")
    tensor.set_data_from_numpy(array)
    result = client.infer("echo", [tensor])
    assert result.as_numpy("x").tolist() == [[b"a", "Gr\u00fc\u00dfe".encode(), b"\xff\x00"]]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("way", WAYS)
def test_compressed_calls_are_understood(client, coding, way):
    array = np.arange(1000, dtype="int32").reshape(1, 1000)
    options = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
    result = send(client, "INT32", array, way, way, **options)
    assert result.as_numpy("x").tolist() == array.tolist()


def test_health_metadata_and_index_are_understood(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sum", "v1")
    assert not client.is_model_ready("nope")
    assert client.get_server_metadata()["name"] == "mlserver"
    assert client.get_model_metadata("sum")["inputs"][0]["datatype"] == "FP64"
    assert {"name": "echo", "state": "READY", "reason": ""} in client.get_model_repository_index()


def test_error_text_reaches_the_caller(client):
    tensor = tritonclient.InferInput("x", [1], "INT8")
    tensor.set_data_from_numpy(np.ones(1, "int8"), binary_data=False)
    with pytest.raises(InferenceServerException, match="Model nope not found") as caught:
        client.infer("nope", [tensor])
    assert caught.value.status() == "404"
