"""Runtimes written for MLServer serve unchanged but for the package's name in their imports.

``runtimes/NAME`` has such a runtime as its author keeps it, and ``exchanges.json``: what is
asked of it, and what it answers. All of them are served by one server.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
from pathlib import Path

import grpc
import pytest

from mlserver_core.grpc.messages import load_messages
from mlserver_core.types import Datatype
from mlserver_core.wire.protobuf import FIELDS

RUNTIMES = sorted(path.parent for path in Path(__file__).parent.glob("runtimes/*/exchanges.json"))


def exchanges():
    for folder in RUNTIMES:
        found = json.loads((folder / "exchanges.json").read_text(encoding="utf-8"))
        for number, exchange in enumerate(found):
            id = f"{folder.name}-{number}"
            yield pytest.param(folder, exchange, id=id)


EXCHANGES = list(exchanges())
METADATA = [each for each in EXCHANGES if "metadata" in each.values[1]]


def rename(source):
    """The one change that its author makes: ``mlserver`` is ``mlserver_core`` in imports."""
    source = re.sub(r"(?m)^(\s*from )mlserver(?=[. ])", r"\1mlserver_core", source)
    return re.sub(r"(?m)^(\s*)import mlserver$", r"\1import mlserver_core as mlserver", source)


@pytest.fixture(scope="module")
def served(module_server, tmp_path_factory):
    root = tmp_path_factory.mktemp("runtimes")
    for folder in RUNTIMES:
        shutil.copytree(folder, root / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in root.rglob("*.py"):
        path.write_text(rename(path.read_text(encoding="utf-8")), encoding="utf-8")
    return module_server(root)


def ask_rest(served, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", served.http_port, timeout=30)
    try:
        connection.request(method, path, json.dumps(body), headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    finally:
        connection.close()


def model_of(folder):
    return json.loads((folder / "model-settings.json").read_text(encoding="utf-8"))["name"]


def test_corpus_holds_runtimes_as_they_were_before_the_change():
    assert len(RUNTIMES) >= 12
    for folder in RUNTIMES:
        sources = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
        assert "mlserver_core" not in sources
        assert rename(sources) != sources


@pytest.mark.parametrize(("folder", "exchange"), EXCHANGES)
def test_runtime_answers_over_rest(served, folder, exchange):
    path = f"/v2/models/{model_of(folder)}/infer"
    status, headers, body = ask_rest(
        served, "POST", path, exchange["request"], exchange.get("headers")
    )
    if "error" in exchange:
        assert (status, body) == (exchange["error"]["rest"], {"error": exchange["error"]["text"]})
        return
    assert status == 200, body
    assert dict(exchange.get("answer_headers", {}).items() - headers.items()) == {}
    assert body == complete(folder, exchange, body["id"])


@pytest.mark.parametrize(("folder", "exchange"), EXCHANGES)
def test_runtime_answers_over_grpc(served, folder, exchange):
    message = load_messages().get("inference.ModelInferResponse")
    with grpc.insecure_channel(served.grpc_address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", response_deserializer=message.FromString
        )
        request = to_message(model_of(folder), exchange["request"]).SerializeToString()
        metadata = list(exchange.get("headers", {}).items())
        if "error" in exchange:
            with pytest.raises(grpc.RpcError) as caught:
                call(request, metadata=metadata, timeout=30)
            expected = exchange["error"]
            assert caught.value.details() == expected["text"]
            assert caught.value.code().name == expected["grpc"]
            return
        reply, done = call.with_call(request, metadata=metadata, timeout=30)
    assert exchange.get("answer_headers", {}).items() <= dict(done.trailing_metadata()).items()
    assert from_message(reply) == complete(folder, exchange, reply.id)


@pytest.mark.parametrize(("folder", "exchange"), METADATA)
def test_tensors_that_a_runtime_declares_are_in_its_metadata(served, folder, exchange):
    _, _, body = ask_rest(served, "GET", f"/v2/models/{model_of(folder)}")
    assert {name: body[name] for name in ("inputs", "outputs")} == exchange["metadata"]


def test_custom_handlers_answer_at_their_own_paths(served):
    _, _, body = ask_rest(served, "POST", "/explain", {"b": 1, "a": 2})
    assert body == {"because": ["a", "b"], "model": "explained"}
    tensor = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}
    _, _, body = ask_rest(served, "POST", "/explained/again", {"inputs": [tensor]})
    assert body["outputs"][0]["data"] == [3]


def test_stream_answers_one_by_one_over_grpc(served):
    message = load_messages().get("inference.ModelInferResponse")
    tensor = {"name": "prompt", "shape": [1], "datatype": "BYTES", "data": ["to be or"]}
    with grpc.insecure_channel(served.grpc_address) as channel:
        call = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            response_deserializer=message.FromString,
        )
        request = to_message("words", {"inputs": [tensor]}).SerializeToString()
        replies = [from_message(reply) for reply in call(iter([request]), timeout=30)]
    assert [reply["outputs"][0]["data"] for reply in replies] == [["to"], ["be"], ["or"]]


def complete(folder, exchange, id):
    """The answer that is expected, with what every answer has."""
    head = {"model_name": model_of(folder), "id": id, "parameters": {}}
    return {**head, **exchange["answer"]}


def to_message(model, request):
    """A typed gRPC request of one that stands in JSON."""
    inputs = []
    for tensor in request["inputs"]:
        values = [each.encode() if isinstance(each, str) else each for each in tensor["data"]]
        made = {name: tensor[name] for name in ("name", "shape", "datatype")}
        made["contents"] = {FIELDS[Datatype(tensor["datatype"])]: values}
        made["parameters"] = {
            name: {"string_param": value} for name, value in tensor.get("parameters", {}).items()
        }
        inputs.append(made)
    outputs = [{"name": output["name"]} for output in request.get("outputs", [])]
    message = load_messages().get("inference.ModelInferRequest")
    return message(model_name=model, id=request.get("id", ""), inputs=inputs, outputs=outputs)


def from_message(reply):
    """A typed gRPC answer as REST has it."""
    plain = {"model_name": reply.model_name, "id": reply.id}
    if reply.model_version:
        plain["model_version"] = reply.model_version
    plain["parameters"] = from_parameters(reply.parameters)
    plain["outputs"] = [from_tensor(output) for output in reply.outputs]
    return plain


def from_tensor(output):
    plain = {"name": output.name, "shape": list(output.shape), "datatype": output.datatype}
    if output.parameters:
        plain["parameters"] = from_parameters(output.parameters)
    values = getattr(output.contents, FIELDS[Datatype(output.datatype)])
    plain["data"] = [each.decode() if isinstance(each, bytes) else each for each in values]
    return plain


def from_parameters(parameters):
    return {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in parameters.items()
    }
