from __future__ import annotations

import grpc
import pytest

from mlserver_core.grpc.messages import load_messages

REQUEST = load_messages().get("grpc.health.v1.HealthCheckRequest")
REPLY = load_messages().get("grpc.health.v1.HealthCheckResponse")

LOWERS = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse

class Switch(MLModel):
    async def predict(self, payload):
        self.ready = False
        return InferenceResponse(outputs=[])
"""


def method(channel, name, kind):
    return getattr(channel, kind)(
        f"/grpc.health.v1.Health/{name}",
        request_serializer=REQUEST.SerializeToString,
        response_deserializer=REPLY.FromString,
    )


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService"])
def test_check_says_serving_when_ready(shared_server, service):
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        reply = method(channel, "Check", "unary_unary")(REQUEST(service=service))
    assert reply.status == REPLY.SERVING


def test_check_of_an_unknown_service_is_not_found(shared_server):
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            method(channel, "Check", "unary_unary")(REQUEST(service="nope"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_watch_tells_of_a_change(serve, model_folder, tmp_path):
    model_folder("switch", LOWERS, implementation="models.Switch")
    server = serve(tmp_path)
    infer = load_messages().get("inference.ModelInferRequest")(model_name="switch")
    with grpc.insecure_channel(server.grpc_address) as channel:
        states = method(channel, "Watch", "unary_stream")(REQUEST())
        assert next(states).status == REPLY.SERVING
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(infer.SerializeToString())
        assert next(states).status == REPLY.NOT_SERVING
        states.cancel()


def test_watch_of_an_unknown_service_says_so_and_stays_open(shared_server):
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        states = method(channel, "Watch", "unary_stream")(REQUEST(service="nope"))
        assert next(states).status == REPLY.SERVICE_UNKNOWN
        assert states.is_active()
        states.cancel()
