"""The wire: bodies and messages to requests, and answers to bodies and messages.

JSON comes out of this as lists, which the engine makes arrays of: see ``test_engine.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tensors import make_array, make_request

from mlserver_core.grpc.messages import load_messages
from mlserver_core.types import InferenceRequest, InferenceResponse, ResponseOutput, TensorData
from mlserver_core.wire import binary, json, protobuf
from mlserver_core.wire.binary_client import decode_binary_response, encode_binary_request
from mlserver_core.wire.json_client import decode_response, encode_request
from mlserver_core.wire.protobuf_client import decode_response as decode_message
from mlserver_core.wire.protobuf_client import encode_request as encode_message

HEADERS = {"content-type": "application/json"}
BINARY = binary.BinaryOutputs(otherwise=True)
SHAPES = {"1x4": (1, 4), "128x128": (128, 128), "1x1000000": (1, 10**6)}


def _message(name: str) -> Any:
    return load_messages().get(f"inference.{name}")


class Json:
    """A REST body of JSON alone."""

    def body(self, request: InferenceRequest) -> Any:
        """What a client sends."""
        return encode_request(request)

    def decode(self, body: Any) -> InferenceRequest:
        """What the server makes of it."""
        return json.decode_request(body, HEADERS)

    def encode(self, response: InferenceResponse) -> Any:
        """What the server sends."""
        return json.encode_response(response)

    def read(self, body: Any) -> InferenceResponse:
        """What a client makes of it."""
        return decode_response(body)


class Binary(Json):
    """A REST body with binary tensors; with the length of its JSON part."""

    def body(self, request: InferenceRequest) -> Any:
        """Body and headers."""
        body, length = encode_binary_request(request)
        return body, {**HEADERS, binary.LENGTH_HEADER.lower(): str(length)}

    def decode(self, body: Any) -> InferenceRequest:
        """Takes body and headers."""
        return binary.decode_request(*body)[0]

    def encode(self, response: InferenceResponse) -> Any:
        """Body and length."""
        return binary.encode_response(response, BINARY)

    def read(self, body: Any) -> InferenceResponse:
        """Takes body and length."""
        return decode_binary_response(body[0], str(body[1]))


class Protobuf(Json):
    """A gRPC message as bytes, its tensors in raw contents or typed."""

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw
        self._request, self._response = (
            _message("ModelInferRequest"),
            _message("ModelInferResponse"),
        )

    def body(self, request: InferenceRequest) -> Any:
        """The bytes of a ModelInferRequest."""
        message = self._request()
        encode_message(request, message, raw=self._raw)
        return message.SerializeToString()

    def decode(self, body: Any) -> InferenceRequest:
        """Parses and converts."""
        return protobuf.decode_request(self._request.FromString(body))[0]

    def encode(self, response: InferenceResponse) -> Any:
        """Converts and serializes."""
        message = self._response()
        protobuf.encode_response(response, message, raw=self._raw)
        return message.SerializeToString()

    def read(self, body: Any) -> InferenceResponse:
        """Parses and converts."""
        return decode_message(self._response.FromString(body))


FORMATS = {
    "json": Json,
    "binary": Binary,
    "protobuf raw": lambda: Protobuf(raw=True),
    "protobuf typed": lambda: Protobuf(raw=False),
}


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest, benchmark: Any) -> tuple[int, ...]:
    """One shape after the other, with a table for each and for each direction."""
    name = request.function.__name__.removeprefix("test_")
    benchmark.group = f"wire: {name} {request.param} FP32"
    return SHAPES[request.param]


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> Json:
    """One format after the other."""
    return FORMATS[request.param]()


def test_decode(benchmark: Any, shape: Any, format: Json) -> None:
    """What came to a request."""
    data = make_array(shape)
    decoded = benchmark(format.decode, format.body(make_request(data, shape)))
    assert decoded.inputs[0].shape == list(shape)
    assert np.array_equal(_values(decoded.inputs[0]), data.ravel())


def test_encode(benchmark: Any, shape: Any, format: Json) -> None:
    """An answer to what goes out."""
    data = make_array(shape)
    output = ResponseOutput(name="y", shape=list(shape), datatype="FP32", data=TensorData(data))
    response = InferenceResponse(model_name="m", id="benchmark", outputs=[output])
    answer = format.read(benchmark(format.encode, response)).outputs[0]
    assert np.array_equal(_values(answer), data.ravel())


def _values(tensor: Any) -> np.ndarray:
    return np.ravel(np.asarray(tensor.data.root, np.float32))
