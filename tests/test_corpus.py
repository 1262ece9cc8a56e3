"""Plays every request of ``tests/corpus`` through REST, gRPC and the engine itself."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path

import pytest
from grpclib.client import Channel
from grpclib.exceptions import GRPCError

from mlserver_core import MLServer, Settings
from mlserver_core.errors import ErrorCode, MLServerError
from mlserver_core.grpc import client as grpc
from mlserver_core.grpc.errors import STATUS as GRPC_STATUS
from mlserver_core.repositories.folder import FolderRepository
from mlserver_core.rest.errors import STATUS as REST_STATUS
from mlserver_core.server import load_plugins
from mlserver_core.types import Datatype, InferenceRequest
from mlserver_core.types.context import RequestContext
from mlserver_core.wire.protobuf import FIELDS

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))


@pytest.fixture(params=CORPUS, ids=lambda path: path.stem)
def case(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_corpus_is_there():
    assert len(CORPUS) >= 30


def test_rest_answers_as_the_corpus_says(case, shared_server):
    version = f"/versions/{case['version']}" if "version" in case else ""
    connection = http.client.HTTPConnection("127.0.0.1", shared_server.http_port, timeout=30)
    path = f"/v2/models/{case['model']}{version}/infer"
    connection.request("POST", path, json.dumps(case["request"]))
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    if "error" in case:
        expected = case["error"]
        assert body == {"error": expected["text"]}
        assert answer.status == REST_STATUS[ErrorCode(expected["code"])]
    else:
        assert body.pop("parameters") == {}
        assert body == case["answer"]


async def test_grpc_answers_as_the_corpus_says(case, shared_server):
    asked = case["request"]
    request = grpc.ModelInferRequest(
        model_name=case["model"],
        model_version=case.get("version", ""),
        id=asked.get("id", ""),
        parameters=to_parameters(asked),
        inputs=[to_tensor(tensor) for tensor in asked["inputs"]],
        outputs=[
            grpc.ModelInferRequestInferRequestedOutputTensor(name=output["name"])
            for output in asked.get("outputs", [])
        ],
    )
    async with Channel("127.0.0.1", shared_server.grpc_port) as channel:
        call = grpc.GrpcInferenceServiceStub(channel).model_infer(request)
        if "error" in case:
            with pytest.raises(GRPCError) as caught:
                await call
            expected = case["error"]
            assert caught.value.message == expected["text"]
            assert caught.value.status == GRPC_STATUS[ErrorCode(expected["code"])]
        else:
            assert from_grpc(await call) == case["answer"]


async def test_engine_answers_as_the_corpus_says(case, models_folder):
    settings = Settings(model_repository_root=str(models_folder))
    server = MLServer(settings, plugins=load_plugins(os.environ))
    models = FolderRepository(root=models_folder, environ={}).read().models
    assert await server.engine.models.load_all(models) == []
    try:
        call = server.engine.infer(
            case["model"],
            case.get("version"),
            InferenceRequest.model_validate(case["request"]),
            RequestContext(),
        )
        if "error" in case:
            with pytest.raises(MLServerError) as caught:
                await call
            assert str(caught.value) == case["error"]["text"]
            assert caught.value.code is ErrorCode(case["error"]["code"])
        else:
            response = await call
            response.parameters = None
            plain = response.model_dump()
            for output in plain["outputs"]:
                output["data"] = flat(output["data"])
            assert plain == case["answer"]
    finally:
        await server.engine.models.unload_all()


def to_tensor(tensor):
    field = FIELDS[Datatype(tensor["datatype"])]
    data = tensor["data"]
    if field == "bytes_contents":
        data = [element.encode() for element in data]
    return grpc.ModelInferRequestInferInputTensor(
        name=tensor["name"],
        datatype=tensor["datatype"],
        shape=tensor["shape"],
        parameters=to_parameters(tensor),
        contents=grpc.InferTensorContents(**{field: data}),
    )


def to_parameters(holder):
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    return {
        name: grpc.InferParameter(**{kinds[type(value)]: value})
        for name, value in holder.get("parameters", {}).items()
    }


def from_grpc(message):
    """A ModelInferResponse as the corpus writes answers."""
    answer = {"model_name": message.model_name, "id": message.id, "outputs": []}
    if message.model_version:
        answer["model_version"] = message.model_version
    for tensor in message.outputs:
        field = FIELDS[Datatype(tensor.datatype)]
        data = getattr(tensor.contents, field)
        output = {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "datatype": tensor.datatype,
            "data": [element.decode() for element in data] if field == "bytes_contents" else data,
        }
        if tensor.parameters:
            output["parameters"] = {name: choice(p) for name, p in tensor.parameters.items()}
        answer["outputs"].append(output)
    return answer


def choice(parameter):
    import betterproto

    return betterproto.which_one_of(parameter, "parameter_choice")[1]


def flat(data):
    while any(isinstance(element, list) for element in data):
        data = [value for element in data for value in element]
    return data
