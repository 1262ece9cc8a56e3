"""Clients of no library: stubs that protoc makes from our protos, and reflection alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from mlserver_core.grpc.messages import load_messages

HERE = Path(__file__).parent
PROTOS = HERE.parents[1] / "protos"
UNSIGNED = ["UINT8", "UINT16", "UINT32", "UINT64"]
SIGNED = ["INT8", "INT16", "INT32", "INT64"]
DATATYPES = ["BOOL", *UNSIGNED, *SIGNED, "FP32", "FP64", "BYTES"]


@pytest.fixture(scope="module")
def answers(shared_server, tmp_path_factory):
    """What ``generated_stubs.py`` got from the server."""
    folder = tmp_path_factory.mktemp("stubs")
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"--python_out={folder}"]
    subprocess.run([*protoc, f"--grpc_python_out={folder}", "dataplane.proto"], check=True)
    ran = subprocess.run(
        [sys.executable, HERE / "generated_stubs.py", shared_server.grpc_address],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,  # its traceback is shown below
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_stubs_made_from_our_protos_ask_for_health_metadata_and_index(answers):
    assert answers["live"] is answers["ready"] is answers["model ready"] is True
    assert answers["server"] == "mlserver"
    assert answers["metadata"] == ["numpy", "FP64"]
    assert answers["index"] == ["echo", "faulty", "headers", "sum", "versioned"]


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_comes_back_typed_through_such_stubs(answers, datatype):
    assert answers["typed"][datatype] is True


@pytest.mark.parametrize("datatype", [*DATATYPES, "FP16", "BF16"])
def test_every_datatype_comes_back_raw_through_such_stubs(answers, datatype):
    assert answers["raw"][datatype] is True


@pytest.mark.parametrize(
    ("mistake", "code", "text"),
    [
        ("unknown model", "NOT_FOUND", "Model nope not found"),
        ("unknown version", "NOT_FOUND", "Model versioned with version v9 not found"),
        ("wrong field", "INVALID_ARGUMENT", "tensor 'x': "),
        ("wrong size", "INVALID_ARGUMENT", "tensor 'x': "),
        ("wrong datatype", "INVALID_ARGUMENT", "tensor 'x': expected one of BOOL, UINT8, "),
    ],
)
def test_mistakes_have_their_status_and_text_through_such_stubs(answers, mistake, code, text):
    got_code, got_text = answers[mistake]
    assert got_code == code
    assert got_text.startswith(text)


class Reflected:
    """Calls a server it knows nothing of, as grpcurl does: by names and JSON."""

    def __init__(self, channel, version):
        self.channel = channel
        self.package = f"grpc.reflection.{version}"
        self.pool = descriptor_pool.DescriptorPool()

    def ask(self, **question):
        asked = load_messages().get(f"{self.package}.ServerReflectionRequest")
        call = self.channel.stream_stream(
            f"/{self.package}.ServerReflection/ServerReflectionInfo",
            request_serializer=asked.SerializeToString,
            response_deserializer=load_messages()
            .get(f"{self.package}.ServerReflectionResponse")
            .FromString,
        )
        return next(call(iter([asked(**question)])))

    def services(self):
        return [each.name for each in self.ask(list_services="").list_services_response.service]

    def describe(self, service):
        """The service, with every file that the one it is in needs."""
        answer = self.ask(file_containing_symbol=service)
        self.add(answer.file_descriptor_response.file_descriptor_proto)
        return self.pool.FindServiceByName(service)

    def add(self, files):
        for data in files:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            for name in file.dependency:
                self.add(
                    self.ask(file_by_filename=name).file_descriptor_response.file_descriptor_proto
                )
            self.pool.Add(file)

    def call(self, service, method, request):
        """The answer as JSON to a request as JSON."""
        found = self.describe(service).FindMethodByName(method)
        asked = message_factory.GetMessageClass(found.input_type)
        answered = message_factory.GetMessageClass(found.output_type)
        call = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        reply = call(json_format.ParseDict(request, asked()), timeout=30)
        return json_format.MessageToDict(reply, preserving_proto_field_name=True)


@pytest.fixture(params=["v1", "v1alpha"])
def reflected(request, shared_server):
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        yield Reflected(channel, request.param)


def test_every_service_that_reflection_lists_can_be_described(reflected):
    for service in reflected.services():
        described = Reflected(reflected.channel, reflected.package.rpartition(".")[2])
        assert described.describe(service).methods


def test_model_is_asked_with_reflection_and_json_alone(reflected):
    request = {
        "model_name": "sum",
        "id": "7",
        "parameters": {"content_type": {"string_param": "np"}},
        "inputs": [
            {
                "name": "x",
                "datatype": "FP64",
                "shape": ["2", "2"],
                "contents": {"fp64_contents": [1, 2, 3, 4.5]},
            }
        ],
    }
    answer = reflected.call("inference.GRPCInferenceService", "ModelInfer", request)
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("sum", "v1", "7")
    assert answer["outputs"][0]["contents"] == {"fp64_contents": [3.0, 7.5]}


def test_health_is_asked_with_reflection_and_json_alone(reflected):
    answer = reflected.call("grpc.health.v1.Health", "Check", {})
    assert answer == {"status": "SERVING"}


def test_mistake_is_refused_with_reflection_and_json_alone(reflected):
    with pytest.raises(grpc.RpcError) as caught:
        reflected.call("inference.GRPCInferenceService", "ModelInfer", {"model_name": "nope"})
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "Model nope not found"
