"""Tensors over the wires that servers speak: JSON, and gRPC with typed and with raw contents."""

from __future__ import annotations

import orjson
import pytest

from mlserver_core.engine.admission import admit
from mlserver_core.grpc.messages import load_messages
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceResponse
from mlserver_core.types.context import RequestContext
from mlserver_core.wire import json, protobuf


def to_response(request):
    outputs = [
        {name: getattr(each, name) for name in ("name", "shape", "datatype", "parameters", "data")}
        for each in request.inputs
    ]
    return InferenceResponse(parameters=request.parameters, outputs=outputs)


def over_json(request):
    plain = orjson.loads(json.encode_response(to_response(request)))
    plain["inputs"] = plain.pop("outputs")
    return json.decode_request(orjson.dumps(plain), {})


def over_grpc(request, *, raw):
    answer = load_messages().get("inference.ModelInferResponse")()
    protobuf.encode_response(to_response(request), answer, raw=raw)
    message = load_messages().get("inference.ModelInferRequest")()
    for name, parameter in answer.parameters.items():
        message.parameters[name].CopyFrom(parameter)
    for tensor in answer.outputs:
        copy = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        copy.contents.CopyFrom(tensor.contents) if tensor.HasField("contents") else None
        for name, parameter in tensor.parameters.items():
            copy.parameters[name].CopyFrom(parameter)
    message.raw_input_contents.extend(answer.raw_output_contents)
    parsed = type(message).FromString(message.SerializeToString())
    return protobuf.decode_request(parsed)[0]


WIRES = {
    "memory": lambda request: request,
    "json": over_json,
    "typed": lambda request: over_grpc(request, raw=False),
    "raw": lambda request: over_grpc(request, raw=True),
}


@pytest.fixture(scope="session", params=WIRES)
def wire(request):
    """Carries a request to a server and through its admission; ``wire.name`` is the way."""

    def carry(sent):
        received = WIRES[request.param](sent)
        admit(received, ModelSettings(name="m", implementation="echo"), RequestContext())
        return received

    carry.name = request.param
    return carry
