from __future__ import annotations

import grpc
import pytest
from google.protobuf import descriptor_pb2

from mlserver_core.grpc.messages import load_messages

PACKAGES = ["grpc.reflection.v1", "grpc.reflection.v1alpha"]


@pytest.fixture(params=PACKAGES)
def ask(request, shared_server):
    package = request.param
    question = load_messages().get(f"{package}.ServerReflectionRequest")
    answer = load_messages().get(f"{package}.ServerReflectionResponse")
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        call = channel.stream_stream(
            f"/{package}.ServerReflection/ServerReflectionInfo",
            request_serializer=question.SerializeToString,
            response_deserializer=answer.FromString,
        )
        yield lambda *asked: list(call(iter([question(**each) for each in asked])))


def test_services_are_listed(ask):
    (answer,) = ask({"list_services": ""})
    assert [service.name for service in answer.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "inference.model_repository.ModelRepositoryService",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {"file_containing_symbol": "inference.GRPCInferenceService"},
        {"file_containing_symbol": "inference.ModelInferRequest"},
        {"file_by_filename": "dataplane.proto"},
    ],
)
def test_file_is_found_by_name_and_by_symbol(ask, asked):
    (answer,) = ask(asked)
    (data,) = answer.file_descriptor_response.file_descriptor_proto
    file = descriptor_pb2.FileDescriptorProto.FromString(data)
    assert file.package == "inference"
    assert file.service[0].name == "GRPCInferenceService"


def test_unknown_names_are_errors_in_the_answer_and_the_stream_goes_on(ask):
    answers = ask(
        {"file_containing_symbol": "nope.Nope"},
        {"file_by_filename": "nope.proto"},
        {"all_extension_numbers_of_type": "nope.Nope"},
        {"file_containing_extension": {"containing_type": "a", "extension_number": 1}},
        {"list_services": ""},
    )
    assert [answer.error_response.error_code for answer in answers] == [5, 5, 5, 5, 0]
    assert answers[0].error_response.error_message == "nope.Nope is not known here"


def test_message_without_extensions_has_none(ask):
    (answer,) = ask({"all_extension_numbers_of_type": "inference.ModelInferRequest"})
    found = answer.all_extension_numbers_response
    assert found.base_type_name == "inference.ModelInferRequest"
    assert list(found.extension_number) == []


def test_empty_question_is_invalid(ask):
    (answer,) = ask({})
    assert answer.error_response.error_code == 3
