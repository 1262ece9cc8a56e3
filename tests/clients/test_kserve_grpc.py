"""KServe's gRPC client, as ``pip install kserve`` brings it: ``tox -e kserve``.

Where the client, and not this server, is in the way, the test's name or a comment says so.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

kserve = pytest.importorskip(
    "kserve", reason="kserve is not installed: tox -e kserve has an environment with it"
)
grpc = pytest.importorskip("grpc", reason="grpcio comes with kserve")

Code = grpc.StatusCode

TYPED = [
    ("BOOL", np.array([[True, False, True]])),
    ("UINT8", np.array([[0, 255]], "uint8")),
    ("UINT16", np.array([[0, 65535]], "uint16")),
    ("UINT32", np.array([[0, 2**32 - 1]], "uint32")),
    ("UINT64", np.array([[0, 2**64 - 1]], "uint64")),
    ("INT8", np.array([[-128, 127]], "int8")),
    ("INT16", np.array([[-32768, 32767]], "int16")),
    ("INT32", np.array([[-(2**31), 2**31 - 1]], "int32")),
    ("INT64", np.array([[-(2**63), 2**63 - 1]], "int64")),
    ("FP32", np.array([[np.nan, -np.inf], [0.1, 1e-45]], "float32")),
    ("FP64", np.array([[np.nan, np.inf], [0.1, 5e-324]], "float64")),
]
FP16 = ("FP16", np.array([[0.5, np.nan, -np.inf]], "float16"))
BYTES = ("BYTES", np.array([[b"", b"\x00\xff\xfe"], ["Grüße ✓".encode(), b"a"]], dtype=object))


def named(tables):
    return pytest.mark.parametrize(
        ("datatype", "array"), tables, ids=[datatype for datatype, _ in tables]
    )


def raw(array, datatype, name="x"):
    made = kserve.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def typed(array, datatype, name="x", **more):
    return kserve.InferInput(name, list(array.shape), datatype, array.ravel().tolist(), **more)


def request(*tensors, model_name="echo", **more):
    return kserve.InferRequest(model_name, list(tensors), **more)


ONE = raw(np.ones((1, 2), "float32"), "FP32")


def faulty(name):
    return request(raw(np.ones(1, "int8"), "INT8", name), model_name="faulty")


@pytest.fixture
async def connect():
    clients = []

    def open_client(server, **options):
        clients.append(kserve.InferenceGRPCClient(server.grpc_address, retries=0, **options))
        return clients[-1]

    yield open_client
    for client in clients:
        await client.close()


@pytest.fixture
def client(connect, shared_server):
    return connect(shared_server)


async def refusal(call):
    """Status and text of the error that the server answers with."""
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def test_health_is_understood(client):
    assert await client.is_server_live() is True
    assert await client.is_server_ready() is True
    assert await client.is_model_ready("echo") is True
    assert await refusal(client.is_model_ready("nope")) == (
        Code.NOT_FOUND,
        "Model nope not found",
    )


@named([*TYPED, FP16, BYTES])
async def test_every_datatype_comes_back_raw_as_it_went(client, datatype, array):
    answer = await client.infer(request(raw(array, datatype)))
    (output,) = answer.outputs
    assert (output.name, output.datatype, output.shape) == ("x", datatype, list(array.shape))
    assert output.data == []  # all of it is in raw_output_contents
    np.testing.assert_array_equal(output.as_numpy(), array, strict=True)


@named([*TYPED, BYTES])
async def test_every_datatype_comes_back_typed_as_it_went(client, datatype, array):
    answer = await client.infer(request(typed(array, datatype)))
    (output,) = answer.outputs
    assert (output.name, output.datatype, output.shape) == ("x", datatype, list(array.shape))
    assert len(output.data) == array.size
    np.testing.assert_array_equal(output.as_numpy(), array, strict=True)


async def test_fp16_has_no_typed_form_and_the_client_says_so(client):
    with pytest.raises(Exception, match="invalid input datatype"):
        await client.infer(request(typed(np.ones((1, 2), "float16"), "FP16")))


@pytest.mark.parametrize("form", [raw, typed])
async def test_tensor_without_elements_passes(client, form):
    answer = await client.infer(request(form(np.ones((0, 3), "float32"), "FP32")))
    assert answer.outputs[0].as_numpy().shape == (0, 3)


async def test_several_tensors_keep_names_and_order(client):
    arrays = {
        "b": ("INT64", np.array([1, 2])),
        "a": ("BYTES", np.array([b"x"], dtype=object)),
        "c": ("FP32", np.ones((2, 2), "float32")),
    }
    tensors = [raw(array, datatype, name) for name, (datatype, array) in arrays.items()]
    answer = await client.infer(request(*tensors))
    assert [output.name for output in answer.outputs] == list(arrays)
    for name, (_, array) in arrays.items():
        got = answer.get_output_by_name(name).as_numpy()
        np.testing.assert_array_equal(got, array, strict=True)


async def test_requested_outputs_are_the_ones_that_come(client):
    from kserve.protocol.infer_type import RequestedOutput

    one = np.ones((1, 2), "float32")
    both = [raw(one, "FP32", "a"), raw(one, "FP32", "b")]
    answer = await client.infer(request(*both, request_outputs=[RequestedOutput("b")]))
    assert [output.name for output in answer.outputs] == ["b"]


async def test_id_and_version_come_back(client):
    asked = request(ONE, model_name="versioned", model_version="v2", request_id="42")
    answer = await client.infer(asked)
    assert (answer.model_name, answer.model_version, answer.id) == ("versioned", "v2", "42")
    newest = await client.infer(request(ONE, model_name="versioned"))
    assert newest.model_version == "v10"
    assert newest.id  # one was made


async def test_metadata_reaches_the_runtime(client):
    asked = request(ONE, model_name="headers")
    answer = await client.infer(asked, headers=[("x-tenant", "blue")])
    (seen,) = answer.outputs[0].as_numpy().ravel()
    assert b'"x-tenant": "blue"' in seen
    assert b"grpc-python-asyncio" in seen
    assert answer.parameters["kept"].bool_param is True


SEEN = """
from mlserver_core import MLModel
from mlserver_core.types import InferenceResponse, Parameters, ResponseOutput

class Seen(MLModel):
    async def predict(self, payload):
        given = payload.parameters.model_dump(exclude={"headers"})
        first = payload.inputs[0]
        output = ResponseOutput(
            name="x", shape=first.shape, datatype=first.datatype, data=first.data,
            parameters=first.parameters,
        )
        return InferenceResponse(outputs=[output], parameters=Parameters(**given))
"""


async def test_parameters_of_every_kind_reach_the_runtime(connect, serve, model_folder, tmp_path):
    from kserve.protocol.infer_type import to_http_parameters

    model_folder("seen", SEEN, implementation="models.Seen")
    client = connect(serve(tmp_path))
    given = {"text": "ü", "count": 2**62, "flag": True}
    tensor = typed(np.ones(1, "int8"), "INT8", parameters={"unit": "cm"})
    answer = await client.infer(request(tensor, model_name="seen", parameters=given))
    assert to_http_parameters(answer.parameters) == given
    assert to_http_parameters(answer.outputs[0].parameters) == {"unit": "cm"}


async def test_client_sends_no_fraction_as_a_parameter(client):
    with pytest.raises(Exception, match="invalid parameter value"):
        await client.infer(request(ONE, parameters={"share": 0.5}))


async def test_many_requests_at_once_get_their_own_answers(client):
    async def ask(number):
        array = np.full((3, 2), number, "int64")
        answer = await client.infer(request(raw(array, "INT64"), request_id=str(number)))
        return answer.id, answer.outputs[0].as_numpy().tolist()

    answers = await asyncio.gather(*map(ask, range(100)))
    assert answers == [(str(number), [[number] * 2] * 3) for number in range(100)]


async def test_large_tensor_passes(client):
    array = np.random.default_rng(0).random((4, 500_000))  # 16 MB, above gRPC's usual 4
    answer = await client.infer(request(raw(array, "FP64"), model_name="sum"))
    np.testing.assert_allclose(answer.outputs[0].as_numpy()[:, 0], array.sum(axis=1))


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (
            kserve.InferInput("x", [3], "INT8", [1, 2]),
            "tensor 'x': shape [3] expects 3 elements, got 2",
        ),
        (
            kserve.InferInput("x", [-1], "INT8", [1, 2]),
            "tensor 'x': shape [-1] has a negative dimension",
        ),
        (
            kserve.InferInput("x", [2], "INT8", [1, 300]),
            "tensor 'x': the value 300 does not fit datatype INT8",
        ),
    ],
)
async def test_mistake_of_the_client_is_invalid_and_says_where(client, tensor, text):
    code, got = await refusal(client.infer(request(tensor)))
    assert code is Code.INVALID_ARGUMENT
    assert got.startswith(text)


async def test_unknown_datatype_or_raw_size_is_invalid_and_says_where(client):
    wrong = raw(np.ones(2, "float32"), "FP32")
    wrong._datatype = "FP31"  # the client lets no caller say this
    code, text = await refusal(client.infer(request(wrong)))
    assert code is Code.INVALID_ARGUMENT
    assert text.startswith("tensor 'x': expected one of BOOL, UINT8, ")
    wrong = raw(np.ones(2, "float32"), "FP32")
    wrong.shape = [3]
    code, text = await refusal(client.infer(request(wrong)))
    assert code is Code.INVALID_ARGUMENT
    assert "'x'" in text


async def test_unknown_content_type_is_invalid_and_the_known_ones_are_listed(client):
    asked = request(
        raw(np.ones((1, 2)), "FP64"), model_name="sum", parameters={"content_type": "nope"}
    )
    code, text = await refusal(client.infer(asked))
    assert code is Code.INVALID_ARGUMENT
    assert text.startswith("the request has the unknown content type 'nope'; known are ")


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (request(ONE, model_name="nope"), "Model nope not found"),
        (
            request(ONE, model_name="versioned", model_version="v9"),
            "Model versioned with version v9 not found",
        ),
    ],
)
async def test_unknown_model_or_version_is_not_found(client, asked, text):
    assert await refusal(client.infer(asked)) == (Code.NOT_FOUND, text)


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("teapot", Code.UNKNOWN, "I am a teapot"),
        ("refused", Code.INVALID_ARGUMENT, "not this one"),
        ("exits", Code.INTERNAL, "SystemExit: 3"),
        ("value_error", Code.INTERNAL, "ValueError: no such file: weights.bin, sorry"),
        (
            "misfit",
            Code.INTERNAL,
            "the model's answer does not fit: tensor 'y': the value 300 does not fit datatype INT8",
        ),
    ],
)
async def test_failure_of_the_runtime_has_its_status_and_text(client, name, code, text):
    assert await refusal(client.infer(faulty(name))) == (code, text)


async def test_bytes_that_are_no_text_are_answered(client):
    answer = await client.infer(faulty("not_utf8"))
    assert answer.outputs[0].as_numpy().tolist() == [b"\xff\xfe"]


SLEEPY = """
from mlserver_core import MLModel

class Sleepy(MLModel):
    async def predict(self, payload):
        self.ready = False
        raise ValueError("asleep from now on")
"""


async def test_model_that_is_not_ready_says_so_and_so_does_the_server(
    connect, serve, model_folder, tmp_path
):
    model_folder("sleepy", SLEEPY, implementation="models.Sleepy")
    client = connect(serve(tmp_path))
    asked = request(ONE, model_name="sleepy")
    code, text = await refusal(client.infer(asked))
    assert (code, text) == (Code.INTERNAL, "ValueError: asleep from now on")
    code, text = await refusal(client.infer(asked))
    assert (code, text) == (Code.INVALID_ARGUMENT, "Model sleepy is not ready yet.")
    assert await client.is_model_ready("sleepy") is False
    assert await client.is_server_ready() is False
    assert await client.is_server_live() is True


async def test_model_without_predict_is_unimplemented(connect, serve, model_folder, tmp_path):
    code = "from mlserver_core import MLModel\n\nclass Mute(MLModel):\n    pass\n"
    model_folder("mute", code, implementation="models.Mute")
    client = connect(serve(tmp_path))
    assert await refusal(client.infer(request(ONE, model_name="mute"))) == (
        Code.UNIMPLEMENTED,
        "Mute has no predict()",
    )


async def test_message_above_the_limit_is_refused(connect, serve, models_folder):
    client = connect(serve(models_folder, "--set", "grpc_max_message_length=1000"))
    code, text = await refusal(client.infer(request(raw(np.ones((1, 1000)), "FP64"))))
    assert code is Code.RESOURCE_EXHAUSTED
    assert "grpc_max_message_length" in text
    assert await client.is_server_live() is True


SLOW = """
import asyncio
from mlserver_core import MLModel

class Slow(MLModel):
    async def predict(self, payload):
        await asyncio.Event().wait()
"""


async def test_deadline_ends_the_call_and_the_server_goes_on(
    connect, serve, model_folder, tmp_path
):
    model_folder("slow", SLOW, implementation="models.Slow")
    server = serve(tmp_path, "--set", "shutdown_grace_period=5")
    client = connect(server)
    code, _ = await refusal(client.infer(request(ONE, model_name="slow"), timeout=0.3))
    assert code is Code.DEADLINE_EXCEEDED
    assert await client.is_server_live() is True
    await client.close()
    assert server.stop() == 0
    assert "Stopping; 0 request(s) in flight" in "\n".join(server.lines)
