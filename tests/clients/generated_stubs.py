"""A program as a user writes one with stubs that protoc made from ``protos/dataplane.proto``.

``test_grpcio.py`` runs it, with those stubs on the path, in a process of its own: the stubs
register their messages with protobuf for the whole process, as tritonclient's do. It prints
what it got as one JSON object.
"""

from __future__ import annotations

import json
import sys

import dataplane_pb2 as messages
import dataplane_pb2_grpc as stubs
import grpc
import numpy as np

CONTENTS = {
    "BOOL": ("bool_contents", [True, False]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 65535]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "INT8": ("int_contents", [-128, 127]),
    "INT16": ("int_contents", [-32768, 32767]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
    "FP32": ("fp32_contents", [0.5, float("-inf")]),
    "FP64": ("fp64_contents", [0.1, float("inf")]),
    "BYTES": ("bytes_contents", [b"\xff\xfe", "Grüße".encode()]),
}
RAW = {
    **{
        datatype: np.array(values, datatype.replace("FP", "float").lower()).tobytes()
        for datatype, (_, values) in CONTENTS.items()
        if datatype != "BYTES"
    },
    "FP16": np.array([0.5, np.inf], "float16").tobytes(),
    "BF16": b"\x80\x3f\x00\xc0",
    "BYTES": b"\x02\0\0\0\xff\xfe\0\0\0\0",
}


def ask(stub, datatype, *, model="echo", version="", raw=None, **contents):
    tensor = messages.ModelInferRequest.InferInputTensor(name="x", datatype=datatype, shape=[2])
    request = messages.ModelInferRequest(model_name=model, model_version=version, id="42")
    if raw is None:
        for field, values in contents.items():
            getattr(tensor.contents, field).extend(values)
    else:
        request.raw_input_contents.append(raw)
    request.inputs.append(tensor)
    return stub.ModelInfer(request, timeout=30)


def typed(stub, datatype):
    field, values = CONTENTS[datatype]
    answer = ask(stub, datatype, **{field: values})
    (output,) = answer.outputs
    assert not answer.raw_output_contents
    return list(getattr(output.contents, field)) == values and list(output.shape) == [2]


def raw(stub, datatype):
    answer = ask(stub, datatype, raw=RAW[datatype])
    return list(answer.raw_output_contents) == [RAW[datatype]]


def refusal(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        return [error.code().name, error.details()]
    return None


def main(address):
    with grpc.insecure_channel(address) as channel:
        stub = stubs.GRPCInferenceServiceStub(channel)
        index = stub.RepositoryIndex(messages.RepositoryIndexRequest(ready=True)).models
        metadata = stub.ModelMetadata(messages.ModelMetadataRequest(name="sum"))
        answers = {
            "live": stub.ServerLive(messages.ServerLiveRequest()).live,
            "ready": stub.ServerReady(messages.ServerReadyRequest()).ready,
            "model ready": stub.ModelReady(
                messages.ModelReadyRequest(name="versioned", version="v2")
            ).ready,
            "server": stub.ServerMetadata(messages.ServerMetadataRequest()).name,
            "metadata": [metadata.platform, metadata.inputs[0].datatype],
            "index": sorted({model.name for model in index}),
            "typed": {datatype: typed(stub, datatype) for datatype in CONTENTS},
            "raw": {datatype: raw(stub, datatype) for datatype in RAW},
            "unknown model": refusal(ask, stub, "INT8", model="nope", raw=b"ab"),
            "unknown version": refusal(
                ask, stub, "INT8", model="versioned", version="v9", raw=b"ab"
            ),
            "wrong field": refusal(ask, stub, "INT8", fp32_contents=[1, 2]),
            "wrong size": refusal(ask, stub, "INT8", raw=b"abc"),
            "wrong datatype": refusal(ask, stub, "INT7", raw=b"ab"),
        }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
