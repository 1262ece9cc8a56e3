from __future__ import annotations

import json
import shutil

import grpc
import numpy as np
import pytest

from mlserver_core.grpc.messages import load_messages

MESSAGES = load_messages()
NEW = "inference.GRPCInferenceService"
OLD = "inference.model_repository.ModelRepositoryService"
REQUEST = MESSAGES.get("inference.ModelInferRequest")

MODELS = '''
import numpy as np
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, MetadataModelResponse, Parameters, ResponseOutput

class Answers(MLModel):
    """Answers with one output of the datatype that the request's parameter names."""

    async def predict(self, payload):
        datatype = payload.parameters.datatype
        data = np.array([1.5, np.nan, np.inf, -np.inf], {"FP16": "f2", "FP32": "f4"}.get(datatype))
        output = ResponseOutput(name="y", shape=[4], datatype=datatype, data=data)
        return InferenceResponse(outputs=[output])

class Parametrised(MLModel):
    """Sends back the parameters it got, and some of its own."""

    async def predict(self, payload):
        parameters = payload.parameters.model_copy()
        for name, value in {"list": [1], "dict": {"a": 1}, "huge": 2**64}.items():
            setattr(parameters, name, value)
        return InferenceResponse(outputs=[], parameters=parameters)

    async def metadata(self):
        return MetadataModelResponse(
            name=self.name,
            platform="",
            parameters=Parameters(rate=0.5, most=2**64 - 1, none=None, list=[1], flag=True),
        )

class Sulks(MLModel):
    async def load(self):
        self.ready = False
        return False
'''


@pytest.fixture
def call():
    """Calls a method of a server with the fields of its request."""

    def send(server, method, service=NEW, **fields):
        request = MESSAGES.get(f"inference.{method}Request")(**fields)
        reply_type = MESSAGES.get(f"inference.{method}Response")
        with grpc.insecure_channel(server.grpc_address) as channel:
            return channel.unary_unary(
                f"/{service}/{method}",
                request_serializer=request.__class__.SerializeToString,
                response_deserializer=reply_type.FromString,
            )(request)

    return send


def refusal(function, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        function(*arguments, **options)
    return caught.value.code(), caught.value.details()


@pytest.fixture
def repository(tmp_path):
    """Writes a model into the repository of a server."""

    def write(name, folder=None, implementation="models.Answers", code=MODELS, **settings):
        path = tmp_path / (folder or name)
        path.mkdir(exist_ok=True)
        (path / "models.py").write_text(code)
        values = {"name": name, "implementation": implementation, **settings}
        (path / "model-settings.json").write_text(json.dumps(values))
        return path

    return write


def states(reply):
    return {(item.name, item.version): item.state for item in reply.models}


@pytest.mark.parametrize("service", [NEW, OLD])
def test_index_states_are_the_words_of_the_protocol(serve, repository, tmp_path, call, service):
    repository("good")
    repository("bad", code="class Answers: pass")
    server = serve(tmp_path, "--set", "on_load_error=serve")
    reply = call(server, "RepositoryIndex", service)
    assert states(reply) == {("good", ""): "READY", ("bad", ""): "UNAVAILABLE"}
    assert {item.name: bool(item.reason) for item in reply.models} == {"good": False, "bad": True}
    ready = call(server, "RepositoryIndex", service, ready=True)
    assert states(ready) == {("good", ""): "READY"}


@pytest.mark.parametrize("service", [NEW, OLD])
def test_models_are_loaded_and_unloaded_by_a_call(serve, repository, tmp_path, call, service):
    repository("first")
    server = serve(tmp_path)
    repository("second")
    infer = {"parameters": {"datatype": {"string_param": "FP32"}}}
    assert refusal(call, server, "ModelInfer", model_name="second", **infer) == (
        grpc.StatusCode.NOT_FOUND,
        "Model second not found",
    )
    call(server, "RepositoryModelLoad", service, model_name="second")
    assert call(server, "ModelInfer", model_name="second", **infer).model_name == "second"
    call(server, "RepositoryModelUnload", service, model_name="second")
    code, _ = refusal(call, server, "ModelInfer", model_name="second", **infer)
    assert code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    assert call(server, "ModelInfer", model_name="first", **infer).model_name == "first"


def test_reload_takes_the_new_code_and_drops_versions_that_are_gone(
    serve, repository, tmp_path, call
):
    gone = repository("m", "one", parameters={"version": "v1"})
    repository("m", "two", parameters={"version": "v2"}, code=MODELS.replace('"y"', '"old"'))
    server = serve(tmp_path)
    shutil.rmtree(gone)
    repository("m", "two", parameters={"version": "v2"}, code=MODELS.replace('"y"', '"new"'))
    call(server, "RepositoryModelLoad", model_name="m")
    reply = call(
        server, "ModelInfer", model_name="m", parameters={"datatype": {"string_param": "FP32"}}
    )
    assert (reply.model_version, reply.outputs[0].name) == ("v2", "new")
    assert refusal(call, server, "ModelReady", name="m", version="v1") == (
        grpc.StatusCode.NOT_FOUND,
        "Model m with version v1 not found",
    )


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
@pytest.mark.parametrize("service", [NEW, OLD])
def test_load_and_unload_of_an_unknown_model_are_not_found(shared_server, call, method, service):
    assert refusal(call, shared_server, method, service, model_name="nope") == (
        grpc.StatusCode.NOT_FOUND,
        "Model nope not found",
    )


def test_load_that_fails_says_why_and_leaves_what_served(serve, repository, tmp_path, call):
    repository("m")
    server = serve(tmp_path)
    repository("m", code="raise ValueError('not today')")
    code, text = refusal(call, server, "RepositoryModelLoad", model_name="m")
    assert code is grpc.StatusCode.INTERNAL
    assert "not today" in text
    assert call(server, "ModelReady", name="m").ready


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
def test_parameters_of_load_and_unload_are_ignored_with_a_debug_line(
    serve, repository, tmp_path, call, method
):
    repository("m")
    server = serve(tmp_path, "--set", "debug=true")
    call(server, method, model_name="m", parameters={"config": {"string_param": "{}"}})
    server.wait_for("Load and unload take no parameters; ignored are config")


def test_repository_calls_are_refused_where_the_api_is_off(serve, models_folder, call):
    server = serve(models_folder, "--set", "model_repository_api=off")
    for method in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"):
        for service in (NEW, OLD):
            code, text = refusal(call, server, method, service)
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert "model_repository_api" in text


def test_request_without_an_id_gets_one_that_the_answer_and_its_trailers_have(shared_server):
    reply_type = MESSAGES.get("inference.ModelInferResponse")
    with grpc.insecure_channel(shared_server.grpc_address) as channel:
        infer = channel.unary_unary(
            f"/{NEW}/ModelInfer", response_deserializer=reply_type.FromString
        )
        reply, done = infer.with_call(REQUEST(model_name="headers").SerializeToString())
    assert len(reply.id) == 36
    assert dict(done.trailing_metadata())["ce-id"] == reply.id
    assert json.loads(reply.outputs[0].contents.bytes_contents[0])["Ce-Id"] == reply.id


def test_texts_about_a_model_without_a_version_have_no_gap(serve, repository, tmp_path, call):
    repository("sulks", implementation="models.Sulks")
    server = serve(tmp_path, "--set", "on_load_error=serve")
    assert refusal(call, server, "ModelInfer", model_name="nope") == (
        grpc.StatusCode.NOT_FOUND,
        "Model nope not found",
    )
    assert refusal(call, server, "ModelInfer", model_name="sulks") == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Model sulks is not ready yet.",
    )
    assert refusal(call, server, "ModelMetadata", name="nope", version="v1") == (
        grpc.StatusCode.NOT_FOUND,
        "Model nope with version v1 not found",
    )


def test_model_ready_of_an_unknown_model_is_not_found(shared_server, call):
    assert refusal(call, shared_server, "ModelReady", name="nope") == (
        grpc.StatusCode.NOT_FOUND,
        "Model nope not found",
    )


@pytest.fixture(scope="module")
def answering(module_server, tmp_path_factory):
    root = tmp_path_factory.mktemp("answering")
    for name in ("Answers", "Parametrised"):
        (root / name).mkdir()
        (root / name / "models.py").write_text(MODELS)
        values = {"name": name.lower(), "implementation": f"models.{name}"}
        (root / name / "model-settings.json").write_text(json.dumps(values))
    return module_server(root)


@pytest.mark.parametrize(
    ("datatype", "field", "dtype"),
    [("FP64", "fp64_contents", "f8"), ("FP32", "fp32_contents", "f4"), ("FP16", None, "f2")],
)
def test_not_a_number_and_infinity_go_out(answering, call, datatype, field, dtype):
    expected = np.array([1.5, np.nan, np.inf, -np.inf], dtype)
    asked = {"model_name": "answers", "parameters": {"datatype": {"string_param": datatype}}}
    reply = call(answering, "ModelInfer", **asked)
    if field is None:  # it has no typed contents
        got = np.frombuffer(reply.raw_output_contents[0], dtype)
    else:
        got = np.array(getattr(reply.outputs[0].contents, field), dtype)
    np.testing.assert_array_equal(got, expected)
    tensor = {"name": "x", "datatype": "UINT8", "shape": [1]}
    reply = call(answering, "ModelInfer", **asked, inputs=[tensor], raw_input_contents=[b"a"])
    np.testing.assert_array_equal(np.frombuffer(reply.raw_output_contents[0], dtype), expected)


def test_parameters_that_grpc_has_come_back_and_the_others_are_warned_of(answering, call):
    given = {
        "float": {"double_param": 0.1},
        "most": {"uint64_param": 2**64 - 1},
        "least": {"int64_param": -(2**63)},
        "flag": {"bool_param": False},
        "text": {"string_param": "é"},
        "none": {},
    }
    reply = call(answering, "ModelInfer", model_name="parametrised", parameters=given)
    assert set(reply.parameters) == set(given)
    for name, expected in given.items():
        choice = reply.parameters[name].WhichOneof("parameter_choice")
        value = {} if choice is None else {choice: getattr(reply.parameters[name], choice)}
        assert value == expected
    for name, kind in (("list", "list"), ("dict", "dict"), ("huge", "int")):
        answering.wait_for(f"The parameter '{name}' is a {kind}, which gRPC cannot carry")


def test_parameters_of_metadata_are_kept_or_warned_of_too(answering, call):
    reply = call(answering, "ModelMetadata", name="parametrised")
    assert reply.parameters["rate"].double_param == 0.5
    assert reply.parameters["most"].uint64_param == 2**64 - 1
    assert reply.parameters["flag"].bool_param is True
    assert reply.parameters["none"].WhichOneof("parameter_choice") is None
    assert set(reply.parameters) == {"rate", "most", "flag", "none"}
    answering.wait_for("The parameter 'list' is a list, which gRPC cannot carry")


def tensor(datatype="UINT8", shape=(1,), **contents):
    made = {"name": "x", "datatype": datatype, "shape": list(shape)}
    return {**made, "contents": contents} if contents else made


@pytest.mark.parametrize(
    ("inputs", "raw"),
    [
        ([tensor("INT322")], [b"a"]),
        ([tensor()], [b"a", b"b"]),
        ([tensor(), tensor()], [b"a"]),
        ([tensor(shape=[2])], [b"a"]),
        ([tensor("INT32")], [b"abc"]),
        ([tensor("BYTES")], [b"\x05\x00\x00\x00a"]),
        ([tensor(uint_contents=[1])], [b"a"]),
        ([tensor(shape=[2], uint_contents=[1])], []),
        ([tensor(shape=[-1], uint_contents=[1])], []),
        ([tensor(uint_contents=[256])], []),
        ([tensor(int_contents=[1])], []),
        ([tensor("FP16", fp32_contents=[1.0])], []),
        ([tensor(shape=[2**62, 2**62])], [b"a"]),
    ],
)
def test_mistakes_of_a_client_are_invalid_arguments(shared_server, call, inputs, raw):
    code, text = refusal(
        call,
        shared_server,
        "ModelInfer",
        model_name="echo",
        inputs=inputs,
        raw_input_contents=raw,
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "x" in text
