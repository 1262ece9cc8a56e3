from __future__ import annotations

from itertools import pairwise

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlserver_core.grpc.messages import load_messages

REQUEST = load_messages().get("inference.ModelInferRequest")
INFER = "/inference.GRPCInferenceService/ModelInfer"
GROWS = """
import numpy as np

from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, ResponseOutput

class Grows(MLModel):
    async def predict(self, payload):
        data = np.asarray(payload.inputs[0].data).tobytes() + b"more"
        output = ResponseOutput(name="y", shape=[1], datatype="BYTES", data=[data])
        return InferenceResponse(outputs=[output])
"""

REPLY = load_messages().get("inference.ModelInferResponse")


def echo_request(values):
    message = REQUEST(model_name="echo")
    message.inputs.add(name="x", datatype="UINT8").shape.append(len(values))
    message.raw_input_contents.append(values)
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("prefix", "message", "status", "text"),
    [
        ({}, b"\x0a", "3", "the message cannot be parsed: Error parsing message"),
        ({"size": 100}, b"abc", "3", "the call ended within a message"),
        ({"flag": 1}, b"abc", "13", "a message is flagged as compressed, but the call has no"),
        ({"flag": 2}, b"abc", "3", "a message begins with byte 2; expected 0 or 1"),
        (
            {"size": 2**32 - 1},
            b"",
            "8",
            "the message has 4294967295 bytes, more than grpc_max_message_length (67108864)",
        ),
    ],
)
def test_bytes_that_are_no_message_get_a_status_and_a_reason(
    shared_server, connect, frame, prefix, message, status, text
):
    trailers = connect(shared_server).call(frame(message, **prefix))
    assert trailers["grpc-status"] == status
    assert trailers["grpc-message"].startswith(text)


def test_call_that_ends_within_a_prefix_is_an_invalid_argument(shared_server, connect):
    trailers = connect(shared_server).call(b"\x00\x00")
    assert trailers["grpc-message"] == "the call ended within a message"


def test_refused_call_leaves_the_connection_to_the_others(shared_server, connect, frame):
    client = connect(shared_server)
    stream = client.open()
    client.send(stream, frame(b"", size=2**32 - 1), end=False)
    assert client.trailers(stream)["grpc-status"] == "8"
    assert client.call(frame(echo_request(b"abc")))["grpc-status"] == "0"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=8))
def test_a_message_may_come_in_any_pieces(shared_server, connect, frame, values, cuts):
    data = frame(echo_request(values))
    client = connect(shared_server)
    stream = client.open()
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, stop in pairwise(at):  # some of the pieces are empty
        client.h2.send_data(stream, data[start:stop])
        client.flush()
    client.send(stream, b"")
    assert client.trailers(stream)["grpc-status"] == "0"
    ((_, reply),) = client.messages(stream)
    assert list(REPLY.FromString(reply).raw_output_contents) == [values]


UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def echo_with_grpcio(server, request):
    with grpc.insecure_channel(server.grpc_address, options=UNLIMITED) as channel:
        return channel.unary_unary(INFER)(request)


def test_limit_may_be_lifted(serve, models_folder):
    server = serve(models_folder, "--set", "grpc_max_message_length=-1")
    request = echo_request(bytes(65 * 2**20))
    assert len(echo_with_grpcio(server, request)) > 65 * 2**20


def test_limit_is_64_mib_and_for_requests_alone(serve, model_folder, tmp_path):
    model_folder("echo", GROWS, implementation="models.Grows")
    server = serve(tmp_path)
    request = echo_request(bytes(64 * 2**20 - 100))
    request = echo_request(bytes(64 * 2**20 - 100 + 64 * 2**20 - len(request)))
    assert len(request) == 64 * 2**20
    assert len(echo_with_grpcio(server, request)) > 64 * 2**20
    with pytest.raises(grpc.RpcError) as caught:
        echo_with_grpcio(server, request + b"\x1a\x00")
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "(67108864)" in caught.value.details()


@pytest.mark.parametrize(
    "timeout", ["", "1", "S", "-1S", "1s", "123456789S", "1" * 5000 + "H", "\uff11S"]
)
def test_timeout_that_cannot_be_read_is_an_invalid_argument(shared_server, connect, frame, timeout):
    trailers = connect(shared_server).call(frame(b""), grpc_timeout=timeout)
    assert trailers["grpc-status"] == "3"
    assert trailers["grpc-message"].startswith("grpc-timeout: expected up to 8 digits")


@pytest.mark.parametrize("unit", "HMS")
def test_longest_timeouts_are_read(shared_server, connect, frame, unit):
    message = frame(echo_request(b"abc"))
    trailers = connect(shared_server).call(message, grpc_timeout="99999999" + unit)
    assert trailers["grpc-status"] == "0"


@pytest.mark.parametrize("value", ["a", "Grüße"])
def test_binary_metadata_that_cannot_be_read_is_an_invalid_argument(
    shared_server, connect, frame, value
):
    trailers = connect(shared_server).call(frame(b""), more=[("x-bin", value)])
    assert trailers["grpc-status"] == "3"
    assert trailers["grpc-message"].startswith("the binary metadata cannot be read")


def test_header_bytes_above_ascii_do_not_break_the_call(shared_server, connect, frame):
    message = frame(echo_request(b"abc"))
    trailers = connect(shared_server).call(message, more=[("x-name", "Grüße")])
    assert trailers["grpc-status"] == "0"
