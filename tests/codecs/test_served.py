"""Every content type through a started server, over REST and gRPC."""

import http.client
import json

import betterproto
import orjson
import pandas as pd
import pytest
from grpclib.client import Channel
from grpclib.exceptions import GRPCError

from mlserver_core.codecs import PandasCodec
from mlserver_core.grpc import client as grpc
from mlserver_core.types import InferenceResponse
from mlserver_core.wire import json as wire

CODE = """
import numpy as np
import pandas as pd

from mlserver_core import MLModel
from mlserver_core.codecs import decode_args
from mlserver_core.types import InferenceResponse, RequestOutput


class Echo(MLModel):
    '''Decodes each input as it says, and encodes what came out in the same way.'''

    async def predict(self, payload):
        outputs = []
        for tensor in payload.inputs:
            value = self.decode(tensor)
            assert type(value).__name__ in ("list", "ndarray"), type(value)
            wanted = RequestOutput(name=tensor.name, parameters=tensor.parameters)
            outputs.append(self.encode(value, wanted))
        return InferenceResponse(outputs=outputs)


class Whole(MLModel):
    def predict(self, payload):
        return self.encode_response(self.decode_request(payload))


class Arguments(MLModel):
    @decode_args
    def predict(
        self, text: str, options: dict, words: list[str], x: np.ndarray, rest: pd.DataFrame | None
    ) -> tuple[str, dict, np.ndarray]:
        columns = [] if rest is None else list(rest.columns)
        return text + "!", {"options": options, "columns": columns, "words": words}, x * 2


class Wrong(MLModel):
    @decode_args
    async def predict(self, x: np.ndarray) -> list[str]:
        return x
"""
ELEMENTS = {
    "np": ("FP32", [1.5, -2.0]),
    "str": ("BYTES", ["a", "é"]),
    "base64": ("BYTES", ["/wA=", ""]),
    "datetime": ("BYTES", ["2026-01-31T12:00:00+00:00", "2026-01-31T00:00:00"]),
    "json": ("BYTES", ['{"a":[1,null]}', "[1.5]"]),
    "pd_json": ("BYTES", ['{"a":1}', "null"]),
}
FRAME = pd.DataFrame(
    {
        "number": [1, 2],
        "text": ["a", None],
        "nullable": pd.Series([1, None], dtype="Int64"),
        "day": pd.to_datetime(["2026-01-31", None]),
        "kind": pd.Categorical(["b", None], categories=["c", "b"], ordered=True),
        "mixed": [{"a": 1}, [1]],
    }
)
TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hi"]}
OPTIONS = {"name": "options", "shape": [1], "datatype": "BYTES", "data": ['{"a":1}']}
WORDS = {"name": "words", "shape": [2], "datatype": "BYTES", "data": ["b", "c"]}
X = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1.0, 2.0]}


@pytest.fixture(scope="module")
def server(module_server, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for name in ("Echo", "Whole", "Arguments", "Wrong"):
        folder = root / name.lower()
        folder.mkdir()
        (folder / "models.py").write_text(CODE, encoding="utf-8")
        settings = {"name": name.lower(), "implementation": f"models.{name}"}
        (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return module_server(root)


async def rest(server, model, body):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    connection.request("POST", f"/v2/models/{model}/infer", orjson.dumps(body))
    answer = connection.getresponse()
    plain = orjson.loads(answer.read())
    connection.close()
    return plain if answer.status == 200 else (answer.status, plain["error"])


def parameter_of(value):
    kinds = {bool: "bool_param", str: "string_param", int: "int64_param"}
    return grpc.InferParameter(**{kinds[type(value)]: value})


def parameters_of(plain):
    return {name: parameter_of(value) for name, value in (plain.get("parameters") or {}).items()}


def from_parameters(parameters):
    return {
        name: betterproto.which_one_of(parameter, "parameter_choice")[1]
        for name, parameter in parameters.items()
    }


FIELDS = {"FP32": "fp32", "FP64": "fp64", "BYTES": "bytes", "INT64": "int64", "INT32": "int"}


def tensor_of(plain):
    encoded = [
        (each or "").encode() if plain["datatype"] == "BYTES" else each for each in plain["data"]
    ]
    contents = grpc.InferTensorContents(**{f"{FIELDS[plain['datatype']]}_contents": encoded})
    return grpc.ModelInferRequestInferInputTensor(
        name=plain["name"],
        datatype=plain["datatype"],
        shape=plain["shape"],
        parameters=parameters_of(plain),
        contents=contents,
    )


async def over_grpc(server, model, body):
    request = grpc.ModelInferRequest(
        model_name=model,
        parameters=parameters_of(body),
        inputs=[tensor_of(each) for each in body["inputs"]],
    )
    async with Channel("127.0.0.1", server.grpc_port) as channel:
        try:
            answer = await grpc.GrpcInferenceServiceStub(channel).model_infer(request)
        except GRPCError as error:
            return error.status.name, error.message
    outputs = [
        {
            "name": each.name,
            "datatype": each.datatype,
            "shape": each.shape,
            "parameters": from_parameters(each.parameters),
            "data": [
                value.decode() if isinstance(value, bytes) else value
                for value in getattr(each.contents, f"{FIELDS[each.datatype]}_contents")
            ],
        }
        for each in answer.outputs
    ]
    return {"outputs": outputs, "parameters": from_parameters(answer.parameters)}


@pytest.fixture(params=[rest, over_grpc], ids=["rest", "grpc"])
def ask(request, server):
    return lambda model, body: request.param(server, model, body)


@pytest.mark.parametrize("content_type", ELEMENTS)
async def test_a_tensor_of_each_content_type(ask, content_type):
    datatype, data = ELEMENTS[content_type]
    parameters = {"content_type": content_type}
    tensor = {"name": "x", "shape": [2], "datatype": datatype, "data": data}

    answer = await ask("echo", {"inputs": [tensor | {"parameters": parameters}]})

    assert answer["outputs"] == [tensor | {"shape": [2, 1], "parameters": parameters}]


@pytest.mark.parametrize("content_type", ["np", "str"])
async def test_a_request_of_each_content_type_of_one_tensor(ask, content_type):
    datatype, data = ELEMENTS[content_type]
    tensor = {"name": "x", "shape": [2], "datatype": datatype, "data": data}

    answer = await ask("whole", {"inputs": [tensor], "parameters": {"content_type": content_type}})

    [output] = answer["outputs"]
    assert (output["name"], output["data"]) == ("output-1", data)
    assert answer["parameters"]["content_type"] == content_type


async def test_a_data_frame(ask):
    body = orjson.loads(wire.encode_response(PandasCodec.encode_response("m", FRAME)))

    got = await ask("whole", {"inputs": body["outputs"], "parameters": body["parameters"]})

    made = PandasCodec.decode_response(InferenceResponse.model_validate({"model_name": "m"} | got))
    pd.testing.assert_frame_equal(made, FRAME)


async def test_arguments_by_name(ask):
    answer = await ask("arguments", {"inputs": [X, WORDS, OPTIONS, TEXT, X | {"name": "column"}]})

    text, value, doubled = answer["outputs"]
    assert (text["name"], text["data"]) == ("output-0", ["hi!"])
    assert json.loads(value["data"][0]) == {
        "options": {"a": 1},
        "columns": ["column"],
        "words": ["b", "c"],
    }
    assert doubled["data"] == [2.0, 4.0]


async def test_what_is_wrong_with_a_request_is_the_clients_mistake(ask):
    missing = await ask("arguments", {"inputs": [X, WORDS, TEXT]})
    assert missing[0] in (400, "INVALID_ARGUMENT")
    assert missing[1].startswith("Input 'options' was not found. Available inputs are 'x'")
    invalid = await ask("echo", {"inputs": [TEXT | {"parameters": {"content_type": "base64"}}]})
    assert invalid[0] in (400, "INVALID_ARGUMENT")
    assert "tensor 'text', element 0: not valid base64" in invalid[1]


async def test_a_wrong_answer_is_the_models_mistake(ask):
    status, text = await ask("wrong", {"inputs": [X]})
    assert status in (500, "INTERNAL")
    assert "Wrong.predict returned a ndarray as output-0, its annotation says list[str]" in text
