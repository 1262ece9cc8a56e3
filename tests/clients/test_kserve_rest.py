"""KServe's REST client, as ``pip install kserve`` brings it: ``tox -e kserve``.

Where the client, and not this server, is in the way, the test's name or a comment says so.
"""

from __future__ import annotations

import asyncio
import importlib.util

import numpy as np
import pytest

kserve = pytest.importorskip(
    "kserve", reason="kserve is not installed: tox -e kserve has an environment with it"
)
httpx = pytest.importorskip("httpx", reason="httpx comes with kserve")

BINARY = pytest.mark.skipif(
    importlib.util.find_spec("mlserver_core.wire.binary") is None,
    reason="binary tensors over REST are not there yet: no mlserver_core.wire.binary",
)

NUMBERS = [
    ("BOOL", np.array([[True, False, True]])),
    ("UINT8", np.array([[0, 255]], "uint8")),
    ("UINT16", np.array([[0, 65535]], "uint16")),
    ("UINT32", np.array([[0, 2**32 - 1]], "uint32")),
    ("UINT64", np.array([[0, 2**64 - 1]], "uint64")),
    ("INT8", np.array([[-128, 127]], "int8")),
    ("INT16", np.array([[-32768, 32767]], "int16")),
    ("INT32", np.array([[-(2**31), 2**31 - 1]], "int32")),
    ("INT64", np.array([[-(2**63), 2**63 - 1]], "int64")),
    ("FP32", np.array([[0.1, -3e38], [1e-45, 0]], "float32")),
    ("FP64", np.array([[0.1, -1e300], [5e-324, 0]], "float64")),
]
FP16 = ("FP16", np.array([[0.5, -65504]], "float16"))
INFINITE = [
    ("FP16", np.array([[np.nan, np.inf]], "float16")),
    ("FP32", np.array([[np.nan, -np.inf]], "float32")),
    ("FP64", np.array([[np.nan, np.inf]], "float64")),
]
BYTES = ("BYTES", np.array([["", "a"], ["Grüße ✓", "\x00 and more"]], dtype=object))


def named(tables):
    return pytest.mark.parametrize(
        ("datatype", "array"), tables, ids=[datatype for datatype, _ in tables]
    )


def tensor(array, datatype, name="x", binary_data=False):
    made = kserve.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary_data)
    return made


def request(*tensors, model_name="echo", **more):
    return kserve.InferRequest(model_name, list(tensors), **more)


def texts(array):
    """BYTES come as text from JSON; KServe makes text of binary ones too."""
    return [str(each, "utf-8") if isinstance(each, bytes) else each for each in array.flat]


ONE = np.ones((1, 2), "float32")


class Client:
    """KServe's client bound to one server, and what it makes of errors."""

    def __init__(self, rest, url):
        self.rest = rest
        self.url = url

    async def infer(self, data, model_name="echo", **more):
        return await self.rest.infer(self.url, data, model_name=model_name, **more)

    async def refusal(self, data, model_name="echo", **more):
        """Status and text of the error that the server answers with."""
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await self.infer(data, model_name, **more)
        answer = caught.value.response
        text = answer.json()["error"]
        assert str(caught.value).startswith(text)  # so a user of the client reads it as well
        return answer.status_code, text


@pytest.fixture
async def connect():
    async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2", retries=0)) as rest:
        yield lambda server: Client(rest, server.url)


@pytest.fixture
def client(connect, shared_server):
    return connect(shared_server)


async def test_health_is_understood(client):
    assert await client.rest.is_server_live(client.url) is True
    assert await client.rest.is_server_ready(client.url) is True
    assert await client.rest.is_model_ready(client.url, "echo") is True
    assert await client.rest.is_model_ready(client.url, "nope") is False


async def test_version_goes_into_the_name_because_the_client_has_no_other_place(client):
    assert await client.rest.is_model_ready(client.url, "versioned/versions/v2") is True
    assert await client.rest.is_model_ready(client.url, "versioned/versions/v9") is False
    answer = await client.infer(request(tensor(ONE, "FP32")), "versioned/versions/v2")
    assert answer.model_name == "versioned"
    assert answer.model_version is None  # the answer has v2; the client does not read it


@named([*NUMBERS, BYTES])
async def test_every_datatype_comes_back_through_json_as_it_went(client, datatype, array):
    answer = await client.infer(request(tensor(array, datatype)))
    (output,) = answer.outputs
    assert (output.name, output.datatype, output.shape) == ("x", datatype, list(array.shape))
    np.testing.assert_array_equal(output.as_numpy(), array, strict=True)


@named([FP16])
async def test_fp16_through_json_is_refused_by_the_client_and_taken_by_the_server(
    client, datatype, array
):
    with pytest.raises(Exception, match="FP16 data via JSON is not supported"):
        await client.infer(request(tensor(array, datatype)))
    plain = {"name": "x", "shape": [1, 2], "datatype": "FP16", "data": array.ravel().tolist()}
    answer = await client.infer({"inputs": [plain]})
    np.testing.assert_array_equal(answer.outputs[0].as_numpy(), array, strict=True)


async def test_nan_passes_json_as_null(client):
    array = np.array([[np.nan, 1]], "float64")
    answer = await client.infer(request(tensor(array, "FP64")))
    assert answer.outputs[0].data == [None, 1.0]
    np.testing.assert_array_equal(answer.outputs[0].as_numpy(), array)


async def test_tensor_without_elements_passes_json(client):
    answer = await client.infer(request(tensor(np.ones((0, 3), "float32"), "FP32")))
    assert answer.outputs[0].as_numpy().shape == (0, 3)


async def test_binary_tensor_without_elements_is_sent_as_null_by_the_client_which_is_a_400(client):
    empty = tensor(np.ones((0, 3), "float32"), "FP32", binary_data=True)
    status, text = await client.refusal(request(empty))
    assert status == 400
    assert "'x'" in text


async def test_plain_dictionary_may_be_sent(client):
    nested = {"name": "x", "shape": [2, 2], "datatype": "INT32", "data": [[1, 2], [3, 4]]}
    answer = await client.infer({"id": "7", "inputs": [nested]})
    assert (answer.id, answer.outputs[0].data) == ("7", [1, 2, 3, 4])


async def test_id_and_headers_come_back(client):
    got = {}
    answer = await client.infer(
        request(tensor(ONE, "FP32"), request_id="42"),
        "headers",
        headers={"X-Tenant": "blue"},
        response_headers=got,
    )
    seen = answer.outputs[0].as_numpy().item()
    assert '"x-tenant": "blue"' in seen
    assert '"user-agent": "python-httpx' in seen
    assert (answer.id, got["ce-id"], got["x-from"]) == ("42", "42", "headers")
    assert answer.parameters == {"kept": True}


async def test_parameters_of_every_kind_reach_the_runtime(connect, serve, model_folder, tmp_path):
    model_folder("seen", SEEN, implementation="models.Seen")
    client = connect(serve(tmp_path))
    tensors = tensor(ONE, "FP32")
    tensors.parameters = {"unit": "cm"}
    answer = await client.infer(
        request(tensors, parameters={"text": "ü", "count": 2**53, "flag": True, "share": 0.5}),
        "seen",
    )
    assert answer.parameters == {"text": "ü", "count": 2**53, "flag": True, "share": 0.5}
    assert answer.outputs[0].parameters == {"unit": "cm"}


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


async def test_requested_outputs_are_the_ones_that_come(client):
    from kserve.protocol.infer_type import RequestedOutput

    both = [tensor(ONE, "FP32", "a"), tensor(ONE, "FP32", "b")]
    answer = await client.infer(request(*both, request_outputs=[RequestedOutput("b")]))
    assert [output.name for output in answer.outputs] == ["b"]


async def test_many_requests_at_once_get_their_own_answers(client):
    async def ask(number):
        array = np.full((3, 2), number, "int64")
        answer = await client.infer(request(tensor(array, "INT64"), request_id=str(number)))
        return answer.id, answer.outputs[0].data

    answers = await asyncio.gather(*map(ask, range(100)))
    assert answers == [(str(number), [number] * 6) for number in range(100)]


def plain(**changes):
    return {"inputs": [{"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2], **changes}]}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (plain(shape=[3]), "tensor 'x': shape [3] expects 3 elements, got 2"),
        (plain(shape=[-1]), "tensor 'x': shape [-1] has a negative dimension"),
        (plain(data=[1, 300]), "tensor 'x': the value 300 does not fit datatype INT8"),
        (plain(data=["a", "b"]), "tensor 'x': element 0 is the string 'a', expected INT8"),
        (plain(datatype="FP31"), "inputs[0].datatype: expected one of BOOL"),
        (plain(shape=None), "inputs[0].shape: "),
        ({"inputs": {}}, "inputs: expected a list, got an object"),
        ({}, "inputs: required, but missing"),
    ],
)
async def test_mistake_of_the_client_is_a_400_that_says_where(client, data, text):
    status, got = await client.refusal(data)
    assert status == 400
    assert got.startswith(text)


async def test_unknown_content_type_is_a_400_that_lists_the_known_ones(client):
    data = request(tensor(np.ones((1, 2)), "FP64"), parameters={"content_type": "nope"})
    status, text = await client.refusal(data, "sum")
    assert status == 400
    assert text.startswith("the request has the unknown content type 'nope'; known are ")
    assert "np" in text


async def test_body_that_is_announced_as_no_json_is_a_400(client):
    headers = {"content-type": "text/plain"}
    status, text = await client.refusal(request(tensor(ONE, "FP32")), headers=headers)
    assert status == 400
    assert text.startswith("the request body is announced as 'text/plain'; send JSON")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nope", "Model nope not found"),
        ("versioned/versions/v9", "Model versioned with version v9 not found"),
    ],
)
async def test_unknown_model_or_version_is_a_404(client, name, text):
    assert await client.refusal(request(tensor(ONE, "FP32")), name) == (404, text)


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("teapot", 418, "I am a teapot"),
        ("refused", 400, "not this one"),
        ("exits", 500, "SystemExit: 3"),
        ("value_error", 500, "ValueError: no such file: weights.bin, sorry"),
    ],
)
async def test_failure_of_the_runtime_has_its_status_and_text(client, name, status, text):
    data = request(tensor(np.ones(1, "int8"), "INT8", name))
    assert await client.refusal(data, "faulty") == (status, text)


async def test_bytes_that_are_no_text_cannot_be_answered_in_json(client):
    data = request(tensor(np.ones(1, "int8"), "INT8", "not_utf8"))
    status, text = await client.refusal(data, "faulty")
    assert status == 500
    assert "base64" in text


SLEEPY = """
from mlserver_core import MLModel

class Sleepy(MLModel):
    async def predict(self, payload):
        self.ready = False
        raise ValueError("asleep from now on")
"""


async def test_model_that_is_not_ready_is_a_400_and_server_and_model_say_so(
    connect, serve, model_folder, tmp_path
):
    model_folder("sleepy", SLEEPY, implementation="models.Sleepy")
    client = connect(serve(tmp_path))
    data = request(tensor(ONE, "FP32"))
    assert await client.refusal(data, "sleepy") == (500, "ValueError: asleep from now on")
    assert await client.refusal(data, "sleepy") == (400, "Model sleepy is not ready yet.")
    assert await client.rest.is_model_ready(client.url, "sleepy") is False
    assert await client.rest.is_server_live(client.url) is True
    with pytest.raises(httpx.HTTPStatusError, match="400 Bad Request"):  # the client's "no"
        await client.rest.is_server_ready(client.url)


async def test_model_without_predict_is_unsupported(connect, serve, model_folder, tmp_path):
    code = "from mlserver_core import MLModel\n\nclass Mute(MLModel):\n    pass\n"
    model_folder("mute", code, implementation="models.Mute")
    client = connect(serve(tmp_path))
    data = request(tensor(ONE, "FP32"))
    assert await client.refusal(data, "mute") == (501, "Mute has no predict()")


async def test_body_above_the_limit_is_a_413(connect, serve, models_folder):
    client = connect(serve(models_folder, "--set", "max_body_size=1000"))
    status, text = await client.refusal(request(tensor(np.ones((1, 1000)), "FP64")))
    assert status == 413
    assert "max_body_size" in text
    await client.infer(request(tensor(ONE, "FP32")))


SLOW = """
import asyncio
from mlserver_core import MLModel

class Slow(MLModel):
    async def predict(self, payload):
        await asyncio.Event().wait()
"""


async def test_deadline_of_the_client_ends_the_call_and_the_server_goes_on(
    connect, serve, model_folder, tmp_path
):
    model_folder("slow", SLOW, implementation="models.Slow")
    server = serve(tmp_path, "--set", "shutdown_grace_period=5")
    client = connect(server)
    with pytest.raises(httpx.ReadTimeout):
        await client.infer(request(tensor(ONE, "FP32")), "slow", timeout=0.3)
    assert await client.rest.is_server_live(client.url) is True
    assert server.stop() == 0
    assert "Stopping; 0 request(s) in flight" in "\n".join(server.lines)


@BINARY
@named([*NUMBERS, FP16, *INFINITE])
async def test_every_number_goes_and_comes_back_binary(client, datatype, array):
    data = request(
        tensor(array, datatype, binary_data=True), parameters={"binary_data_output": True}
    )
    got = {}
    answer = await client.infer(data, response_headers=got)
    assert "inference-header-content-length" in got
    np.testing.assert_array_equal(answer.outputs[0].as_numpy(), array, strict=True)


@BINARY
@named([*NUMBERS, FP16])
async def test_every_number_goes_binary_and_comes_back_in_json(client, datatype, array):
    got = {}
    answer = await client.infer(
        request(tensor(array, datatype, binary_data=True)), response_headers=got
    )
    assert "inference-header-content-length" not in got
    np.testing.assert_array_equal(answer.outputs[0].as_numpy(), array, strict=True)


@BINARY
async def test_text_goes_in_binary_and_comes_back(client):
    got = {}
    answer = await client.infer(
        request(
            tensor(BYTES[1], "BYTES", binary_data=True), parameters={"binary_data_output": True}
        ),
        response_headers=got,
    )
    assert "inference-header-content-length" in got
    assert texts(answer.outputs[0].as_numpy()) == texts(BYTES[1])


@BINARY
async def test_bytes_that_are_no_text_come_back_and_only_the_client_cannot_hold_them(client):
    array = np.array([b"\x00\xff\xfe"], dtype=object)
    with pytest.raises(Exception, match="Failed to encode") as caught:
        await client.infer(
            request(
                tensor(array, "BYTES", binary_data=True),
                parameters={"binary_data_output": True},
            )
        )
    assert str(array[0]) in str(caught.value)  # what it got from the server is what was sent


@BINARY
async def test_binary_and_json_mix_both_ways(client):
    from kserve.protocol.infer_type import RequestedOutput

    first, second, third = ONE, np.array([7, 8], "int64"), np.array([True])
    tensors = [
        tensor(first, "FP32", "a", binary_data=True),
        tensor(second, "INT64", "b"),
        tensor(third, "BOOL", "c", binary_data=True),
    ]
    wanted = [
        RequestedOutput("a"),
        RequestedOutput("b", {"binary_data": True}),
        RequestedOutput("c", {"binary_data": False}),
    ]
    got = {}
    answer = await client.infer(request(*tensors, request_outputs=wanted), response_headers=got)
    assert "inference-header-content-length" in got
    for name, array in {"a": first, "b": second, "c": third}.items():
        output = answer.get_output_by_name(name)
        np.testing.assert_array_equal(output.as_numpy(), array, strict=True)


@BINARY
async def test_large_binary_tensor_passes(client):
    array = np.random.default_rng(0).random((4, 500_000))  # 16 MB
    answer = await client.infer(request(tensor(array, "FP64", binary_data=True)), "sum")
    np.testing.assert_allclose(answer.outputs[0].as_numpy()[:, 0], array.sum(axis=1))


@BINARY
async def test_size_that_does_not_fit_shape_and_datatype_is_a_400(client):
    wrong = tensor(ONE, "FP32", binary_data=True)
    wrong.shape = [1, 3]
    status, text = await client.refusal(request(wrong))
    assert status == 400
    assert "'x'" in text


@BINARY
async def test_errors_are_the_same_for_binary_requests(client):
    data = request(tensor(ONE, "FP32", binary_data=True))
    assert await client.refusal(data, "nope") == (404, "Model nope not found")
    data = request(tensor(np.ones(1, "int8"), "INT8", "teapot", binary_data=True))
    assert await client.refusal(data, "faulty") == (418, "I am a teapot")
