from __future__ import annotations

import json

import grpc
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

tritonclient = pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")

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
    ("FP16", np.array([[0.5, np.inf]], "float16")),
    ("FP32", np.array([[np.nan, -np.inf, 0.1]], "float32")),
    ("FP64", np.array([[np.nan, 1e300]], "float64")),
    ("BYTES", np.array([[b"", b"\x00\xff", b"abc"]], dtype=object)),
]


@pytest.fixture
def client(shared_server):
    with tritonclient.InferenceServerClient(shared_server.grpc_address) as client:
        yield client


@pytest.mark.parametrize(("datatype", "array"), ARRAYS, ids=[each[0] for each in ARRAYS])
def test_every_datatype_comes_back_raw_as_it_went(client, datatype, array):
    tensor = tritonclient.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    result = client.infer("echo", [tensor], request_id="42")
    np.testing.assert_array_equal(result.as_numpy("x"), array)
    response = result.get_response()
    assert len(response.raw_output_contents) == 1
    assert not response.outputs[0].HasField("contents")
    assert response.id == "42"


def test_large_tensor_passes(client):
    array = np.random.default_rng(0).random((1, 2_000_000))  # 16 MB, above gRPC's usual 4
    tensor = tritonclient.InferInput("x", list(array.shape), "FP64")
    tensor.set_data_from_numpy(array)
    total = client.infer("sum", [tensor]).as_numpy("total")
    assert total[0, 0] == pytest.approx(array.sum())


def test_message_above_the_limit_is_refused(serve, models_folder):
    server = serve(models_folder, "--set", "grpc_max_message_length=1000")
    with tritonclient.InferenceServerClient(server.grpc_address) as client:
        tensor = tritonclient.InferInput("x", [1, 1000], "FP64")
        tensor.set_data_from_numpy(np.ones((1, 1000)))
        with pytest.raises(InferenceServerException, match="grpc_max_message_length") as caught:
            client.infer("echo", [tensor])
        assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        assert client.is_server_live()


def test_health_metadata_and_index_are_understood(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sum", "v1")
    assert client.get_server_metadata().name == "mlserver"
    metadata = client.get_model_metadata("sum")
    assert list(metadata.versions) == ["v1"]
    assert metadata.inputs[0].shape == [-1, -1]
    states = {model.name: model.state for model in client.get_model_repository_index().models}
    assert states["echo"] == "READY"


def test_unknown_model_is_not_found_also_when_asked_for_readiness(client):
    for ask in (client.is_model_ready, client.get_model_metadata):
        with pytest.raises(InferenceServerException, match="Model nope not found") as caught:
            ask("nope")
        assert caught.value.status() == "StatusCode.NOT_FOUND"


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_are_answered(client, algorithm):
    array = np.zeros((1, 300_000))
    tensor = tritonclient.InferInput("x", list(array.shape), "FP64")
    tensor.set_data_from_numpy(array)
    result = client.infer("echo", [tensor], compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("x"), array)


def test_compressed_request_above_the_limit_is_refused(serve, models_folder):
    server = serve(models_folder, "--set", "grpc_max_message_length=100000")
    with tritonclient.InferenceServerClient(server.grpc_address) as client:
        tensor = tritonclient.InferInput("x", [1, 100_000], "FP64")
        tensor.set_data_from_numpy(np.zeros((1, 100_000)))  # small on the wire
        with pytest.raises(InferenceServerException, match="decompressed") as caught:
            client.infer("echo", [tensor], compression_algorithm="gzip")
        assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"


def test_models_are_loaded_and_unloaded(serve, model_folder, tmp_path):
    model_folder("first", implementation="echo")
    server = serve(tmp_path)
    model_folder("second", implementation="echo")
    with tritonclient.InferenceServerClient(server.grpc_address) as client:
        client.load_model("second", config="{}")
        assert client.is_model_ready("second")
        client.unload_model("second")
        states = {item.name: item.state for item in client.get_model_repository_index().models}
        assert states == {"first": "READY", "second": "UNAVAILABLE"}


def test_metadata_goes_in_and_trailing_metadata_comes_out(shared_server):
    from tritonclient.grpc import service_pb2 as messages

    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=messages.ModelInferRequest.SerializeToString,
            response_deserializer=messages.ModelInferResponse.FromString,
        )
        request = messages.ModelInferRequest(model_name="headers", id="7")
        reply, done = call.with_call(request, metadata=[("x-tenant", "blue")])
    got = json.loads(reply.outputs[0].contents.bytes_contents[0])
    assert got["x-tenant"] == "blue"
    assert got["Ce-Id"] == "7"
    assert "grpc-python" in got["user-agent"]
    trailers = dict(done.trailing_metadata())
    assert trailers["x-from"] == "headers"
    assert trailers["ce-type"] == "io.seldon.serving.inference.response"
    assert trailers["ce-id"] == "7"
    assert reply.parameters["kept"].bool_param is True
    assert "headers" not in reply.parameters


def test_old_repository_service_answers(shared_server):
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        call = channel.unary_unary(
            "/inference.model_repository.ModelRepositoryService/RepositoryIndex"
        )
        assert b"echo" in call(b"")


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("teapot", grpc.StatusCode.UNKNOWN, "I am a teapot"),
        ("refused", grpc.StatusCode.INVALID_ARGUMENT, "not this one"),
        ("exits", grpc.StatusCode.INTERNAL, "SystemExit: 3"),
        (
            "misfit",
            grpc.StatusCode.INTERNAL,
            "the model's answer does not fit: tensor 'y': the value 300 does not fit datatype INT8",
        ),
    ],
)
def test_failure_of_the_runtime_has_its_status_and_text(client, name, code, text):
    tensor = tritonclient.InferInput(name, [1], "INT8")
    tensor.set_data_from_numpy(np.ones(1, "int8"))
    with pytest.raises(InferenceServerException) as caught:
        client.infer("faulty", [tensor])
    assert (caught.value.status(), caught.value.message()) == (f"StatusCode.{code.name}", text)


def test_deadline_ends_the_call_and_the_server_goes_on(serve, model_folder, tmp_path):
    code = """
import asyncio
from mlserver_core import MLModel

class Slow(MLModel):
    async def predict(self, payload):
        await asyncio.Event().wait()
"""
    model_folder("slow", code, implementation="models.Slow")
    server = serve(tmp_path, "--set", "shutdown_grace_period=5")
    with tritonclient.InferenceServerClient(server.grpc_address) as client:
        tensor = tritonclient.InferInput("x", [1], "INT8")
        tensor.set_data_from_numpy(np.ones(1, "int8"))
        with pytest.raises(InferenceServerException) as caught:
            client.infer("slow", [tensor], client_timeout=0.3)
        assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        assert client.is_server_live()
    assert server.stop() == 0
    assert "Stopping; 0 request(s) in flight" in "\n".join(server.lines)
