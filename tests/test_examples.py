"""The folders of ``examples/custom-runtimes``: the seed page's runtimes, served as they are."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import grpc
import pytest

from mlserver_core.grpc.messages import load_messages

FOLDER = Path(__file__).parents[1] / "examples" / "custom-runtimes"


@pytest.fixture(scope="module")
def server(module_server):
    return module_server(FOLDER)


def post(server, model, body, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    connection.request("POST", f"/v2/models/{model}/infer", json.dumps(body), headers or {})
    answer = connection.getresponse()
    got = answer.status, dict(answer.headers), json.loads(answer.read())
    connection.close()
    return got


def infer_grpc(server, model, metadata):
    """Inference without inputs over gRPC: the reply and its trailing metadata."""
    messages = load_messages()
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages.get("inference.ModelInferResponse").FromString,
        )
        request = messages.get("inference.ModelInferRequest")(model_name=model)
        reply, done = call.with_call(request, metadata=metadata)
        return reply, dict(done.trailing_metadata())


def test_runtime_with_a_model_of_its_own_loads_and_predicts(server):
    tensor = {"name": "x", "shape": [3], "datatype": "FP64", "data": [1, 2, 3]}
    status, _, body = post(server, "my-custom-runtime", {"inputs": [tensor]})
    assert status == 200
    assert body["model_name"] == "my-custom-runtime"
    assert body["outputs"][0]["data"] == [2, 4, 6]


def test_request_headers_reach_the_runtime_over_rest_and_grpc(server):
    _, _, body = post(server, "read-headers", {"inputs": []}, {"X-Tenant": "blue"})
    assert body["outputs"][0]["data"] == ["blue"]
    assert post(server, "read-headers", {"inputs": []})[2]["outputs"][0]["data"] == ["nobody"]
    reply, _ = infer_grpc(server, "read-headers", [("x-tenant", "green")])
    assert list(reply.outputs[0].contents.bytes_contents) == [b"green"]


def test_response_headers_leave_the_runtime_over_rest_and_grpc(server):
    status, headers, body = post(server, "write-headers", {"inputs": []})
    assert (status, headers["foo"], body["parameters"]) == (200, "bar", {})
    _, trailers = infer_grpc(server, "write-headers", [])
    assert trailers["foo"] == "bar"
