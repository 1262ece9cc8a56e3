"""V2 JSON bodies to types and back."""

import math

import ml_dtypes
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.errors import InvalidRequest, RuntimeFailed
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RepositoryIndexRequest,
)
from mlserver_core.types.datatypes import FLOATS, to_dtype
from mlserver_core.types.tensors import to_elements
from mlserver_core.wire.json import decode, decode_request, encode, encode_response

TENSOR = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.0, 2.5]}
NUMBERS = [each for each in Datatype if each is not Datatype.BYTES]


def response(**output):
    values = {"name": "y", "shape": [1], "datatype": "FP32", "data": [1.0]} | output
    return InferenceResponse(model_name="m", outputs=[values])


def data_of(encoded):
    return orjson.loads(encoded)["outputs"][0]["data"]


# Requests


def test_a_request_is_read():
    body = orjson.dumps(
        {
            "id": "7",
            "parameters": {"content_type": "np", "mine": [1]},
            "inputs": [TENSOR],
            "outputs": [{"name": "y"}],
        }
    )

    assert decode_request(body, {"content-type": "application/json"}) == InferenceRequest(
        id="7",
        parameters=Parameters(content_type="np", mine=[1]),
        inputs=[TENSOR],
        outputs=[{"name": "y"}],
    )


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/octet-stream",
        "application/cloudevents+json",
    ],
)
def test_json_may_be_announced_by_any_of_its_names(kind):
    assert decode_request(b'{"inputs": []}', {"content-type": kind}).inputs == []


def test_a_body_need_not_be_announced():
    assert decode_request(b'{"inputs": []}', {}).inputs == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "json"])
def test_another_content_type_is_refused_and_named(kind):
    with pytest.raises(InvalidRequest) as caught:
        decode_request(b"{}", {"content-type": f"{kind}; charset=utf-8"})

    assert str(caught.value) == (
        f"the request body is announced as {kind!r}; send JSON with the header "
        "'Content-Type: application/json'"
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "inputs: required, but missing"),
        (b"{}", "inputs: required, but missing"),
        (b"[]", "expected an object, got a list"),
        (b"null", "expected an object, got null"),
        (
            b'{"inputs": [}',
            "the request body is not valid JSON: unexpected character, expected a JSON value: "
            "line 1 column 13 (char 12)",
        ),
        (
            b'{"inputs": [{"name": "a", "shape": ["2"], "datatype": "FP32", "data": []}]}',
            "inputs[0].shape[0]: expected an integer, got '2'",
        ),
    ],
)
def test_a_body_that_is_no_request_is_refused_with_the_place(body, text):
    with pytest.raises(InvalidRequest) as caught:
        decode_request(body, {})

    assert str(caught.value) == text


@pytest.mark.parametrize("body", [b"\xff", b'"\xff"', b'{"inputs": NaN}', b"{" * 2000, b"{} {}"])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(InvalidRequest, match=r"^the request body is not valid JSON: "):
        decode_request(body, {})


def test_integers_of_64_bits_keep_every_digit():
    body = b'{"inputs": [{"name": "x", "shape": [2], "datatype": "UINT64", "data": [%d, %d]}]}' % (
        2**64 - 1,
        2**53 + 1,
    )

    assert decode_request(body, {}).inputs[0].data == [2**64 - 1, 2**53 + 1]


def test_an_empty_body_is_an_empty_object():
    assert decode(b"", {}, RepositoryIndexRequest) == RepositoryIndexRequest()
    assert decode(b'{"ready": true}', {}, RepositoryIndexRequest).ready is True


# Responses


def test_a_full_answer():
    made = InferenceResponse(
        model_name="m",
        model_version="v1",
        id="7",
        parameters={"content_type": "np", "mine": {"a": [1]}},
        outputs=[
            {
                "name": "y",
                "shape": [2, 2],
                "datatype": "INT8",
                "parameters": {"b": None},
                "data": np.array([[1, 2], [3, 4]], np.int8),
            }
        ],
    )

    assert orjson.loads(encode_response(made)) == {
        "model_name": "m",
        "model_version": "v1",
        "id": "7",
        "parameters": {"content_type": "np", "mine": {"a": [1]}},
        "outputs": [
            {
                "name": "y",
                "shape": [2, 2],
                "datatype": "INT8",
                "parameters": {"b": None},
                "data": [1, 2, 3, 4],
            }
        ],
    }


def test_an_answer_without_version_and_id_leaves_them_out():
    assert encode_response(InferenceResponse(model_name="m", outputs=[])) == (
        b'{"model_name":"m","parameters":{},"outputs":[]}'
    )


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [3, 4]], np.float32).T,
        np.arange(8, dtype=np.int32).reshape(2, 4)[:, ::2],
        np.array([1.5, 2.5], np.float16),
        np.array([1.5, 2.5], ml_dtypes.bfloat16),
        np.array([1.5, 2.5], ">f4"),
        np.array([1, 2], ">i8"),
        np.array([True, False]),
        np.array(5.0),
        np.empty((0, 3)),
        np.broadcast_to(np.float32(2), (2, 2)),
        np.array(["a", "bc"]),
    ],
)
def test_arrays_of_any_layout_are_sent_flat(array):
    made = response(shape=list(array.shape), data=array)

    assert data_of(encode_response(made)) == array.reshape(-1).tolist()


def test_lists_are_sent_as_they_are():
    assert data_of(encode_response(response(data=[[1], [2.5]]))) == [[1], [2.5]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_nan_and_infinities_are_null(dtype):
    array = np.array([1, np.nan, np.inf, -np.inf], dtype)

    assert data_of(encode_response(response(data=array))) == [1, None, None, None]
    assert data_of(encode_response(response(data=array.tolist()))) == [1, None, None, None]


@pytest.mark.parametrize(
    "data",
    [
        ["a", b"b", "é".encode(), bytearray(b"d"), None],
        np.array(["a", b"b", "é", "d", None], object),
    ],
)
def test_bytes_go_out_as_text(data):
    made = response(datatype="BYTES", shape=[5], data=data)

    assert data_of(encode_response(made)) == ["a", "b", "é", "d", None]


def test_bytes_that_are_no_text_are_refused_with_the_way_out():
    with pytest.raises(RuntimeFailed) as caught:
        encode_response(response(datatype="BYTES", data=[b"\xff"]))

    assert str(caught.value) == (
        "the answer cannot be sent as JSON: an output holds bytes that are not UTF-8 text; "
        "encode it with the content type base64, or ask over gRPC"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1, 2}, "set has no JSON form"),
        (object(), "object has no JSON form"),
        (1j, "complex has no JSON form"),
        (2**64, "Integer exceeds 64-bit range"),
        ("\ud800", "str is not valid UTF-8: surrogates not allowed"),
    ],
)
def test_what_json_cannot_carry_is_the_runtimes_failure(value, text):
    made = InferenceResponse(model_name="m", parameters={"mine": value}, outputs=[])

    with pytest.raises(RuntimeFailed) as caught:
        encode_response(made)

    assert str(caught.value) == f"the answer cannot be sent as JSON: {text}"


def test_numpy_values_in_parameters_are_plain():
    made = InferenceResponse(
        model_name="m",
        parameters={
            "share": np.float32(0.5),
            "count": np.int64(5),
            "flag": np.bool_(True),
            "half": np.float16(0.5),
            "brain": ml_dtypes.bfloat16(0.5),
            "rows": np.array([[1, 2]]),
            "halves": np.array([0.5], ml_dtypes.bfloat16),
            "columns": np.array([[1, 2], [3, 4]]).T,
            "by number": {1: "a"},
        },
        outputs=[],
    )

    assert orjson.loads(encode_response(made))["parameters"] == {
        "share": 0.5,
        "count": 5,
        "flag": True,
        "half": 0.5,
        "brain": 0.5,
        "rows": [[1, 2]],
        "halves": [0.5],
        "columns": [[1, 3], [2, 4]],
        "by number": {"1": "a"},
    }


def test_encoding_leaves_the_response_alone():
    array = np.array([[1.0, 2.0]])
    made = response(shape=[1, 2], data=array)

    encode_response(made)

    assert made.outputs[0].data.root is array
    assert array.shape == (1, 2)


def test_encode_takes_plain_data():
    assert encode({"error": "no"}) == b'{"error":"no"}'


# Any data


@st.composite
def tensors(draw):
    """A datatype and an array of its dtype."""
    datatype = draw(st.sampled_from(NUMBERS))
    shape = draw(nps.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    if datatype is Datatype.BF16:
        return datatype, draw(nps.arrays(np.uint16, shape)).view(ml_dtypes.bfloat16)
    return datatype, draw(nps.arrays(to_dtype(datatype), shape))


@settings(deadline=None, max_examples=80)
@given(tensors())
def test_any_array_is_read_back_but_for_infinities(tensor):
    datatype, array = tensor
    shape = list(array.shape)

    body = encode_response(response(datatype=datatype, shape=shape, data=array))
    inputs = orjson.loads(body)["outputs"]
    request = decode_request(orjson.dumps({"inputs": inputs}), {})
    made = to_elements("y", datatype, shape, request.inputs[0].data.root)

    assert made.dtype == array.dtype
    flat = array.reshape(-1)
    if datatype in FLOATS:
        made, flat = made.astype("f8"), flat.astype("f8")
        flat[~np.isfinite(flat)] = math.nan
    np.testing.assert_array_equal(made, flat)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text()))
def test_any_text_is_read_back(texts):
    made = response(datatype="BYTES", shape=[len(texts)], data=[text.encode() for text in texts])
    request = decode_request(
        orjson.dumps({"inputs": orjson.loads(encode_response(made))["outputs"]}), {}
    )

    assert request.inputs[0].data == texts


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=80)
@given(
    st.dictionaries(
        st.text().filter(lambda name: name not in ("content_type", "headers")), PLAIN, max_size=4
    )
)
def test_any_parameters_are_read_back(parameters):
    body = encode_response(InferenceResponse(model_name="m", parameters=parameters, outputs=[]))
    plain = orjson.loads(body)["parameters"]
    request = decode_request(orjson.dumps({"inputs": [], "parameters": plain}), {})

    assert request.parameters == Parameters(**parameters)


@settings(deadline=None, max_examples=100)
@given(st.binary() | PLAIN.map(orjson.dumps))
def test_any_body_is_a_request_or_refused(body):
    try:
        made = decode_request(body, {})
    except InvalidRequest as error:
        assert str(error)  # noqa: PT017  # that it has a text is all there is to say
    else:
        assert type(made) is InferenceRequest
