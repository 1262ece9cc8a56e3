"""Large tensors in JSON bodies."""

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Datatype, InferenceRequest
from mlserver_core.types.converter import structure
from mlserver_core.types.datatypes import FLOATS
from mlserver_core.types.tensors import to_elements
from mlserver_core.wire import json_arrays

NUMBERS = [each for each in Datatype if each is not Datatype.BYTES]


def body_of(data, shape, datatype="FP32"):
    tensor = {"name": "x", "shape": shape, "datatype": datatype, "data": data}
    return orjson.dumps({"inputs": [tensor]})


def read(load, body):
    """What a model gets of a body, comparable; or what its client is told."""
    try:
        request = structure(load(body), InferenceRequest)
        arrays = [
            to_elements(tensor.name, tensor.datatype, tensor.shape, tensor.data.root)
            for tensor in request.inputs
        ]
    except (InvalidRequest, orjson.JSONDecodeError) as error:
        return type(error), str(error)
    for tensor in request.inputs:
        tensor.data = []
    plain = [
        (each.dtype, each.shape, each.tobytes()) if isinstance(each, np.ndarray) else each
        for each in arrays
    ]
    return request, plain


def assert_same(body, *, large=2, piece=8):
    """A body is read as orjson reads it, also where pieces of a few bytes are large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_arrays, "LARGE", large)
        patch.setattr(json_arrays, "PIECE", piece)
        mine = read(json_arrays.loads, body)
    assert mine == read(orjson.loads, body)


# Which way a body goes


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (np.arange(50_000.0), [50_000]),
        (np.arange(50_000.0).reshape(250, 200), [250, 200]),
        (np.arange(50_000.0).reshape(25, 200, 10), [25, 200, 10]),
        (np.arange(50_000.0).reshape(1, 50_000, 1), [1, 50_000, 1]),
    ],
    ids=["flat", "rows", "blocks", "columns"],
)
def test_numbers_come_as_an_array_of_their_datatype(data, shape):
    found = json_arrays.loads(body_of(data.tolist(), shape))["inputs"][0]["data"]

    assert (found.dtype, found.shape) == (np.float32, data.shape)
    np.testing.assert_array_equal(found, data)


def test_data_that_are_flat_stay_flat():
    found = json_arrays.loads(body_of(list(range(2000)), [2, 1000], "INT16"))["inputs"][0]["data"]
    assert (found.dtype, found.shape) == (np.int16, (2000,))


def test_every_large_tensor_of_a_request_is_an_array():
    tensors = [
        {"data": [value] * 2000, "name": name, "shape": [2000], "datatype": datatype}
        for name, datatype, value in [("a", "FP64", 0.5), ("b", "BYTES", "b"), ("c", "UINT8", 7)]
    ]
    found = json_arrays.loads(orjson.dumps({"inputs": tensors, "id": "data"}, option=2))

    assert [type(each["data"]) for each in found["inputs"]] == [np.ndarray, list, np.ndarray]
    assert found["id"] == "data"
    assert [each["data"][-1] for each in found["inputs"]] == [0.5, "b", 7]


def test_data_elsewhere_are_lists():
    body = {"inputs": [], "parameters": {"data": [0.5] * 2000}}
    assert json_arrays.loads(orjson.dumps(body)) == body


def test_integers_keep_their_last_digits():
    numbers = [2**63 - 1 - step for step in range(2000)]
    signed = json_arrays.loads(body_of(numbers, [2000], "INT64"))["inputs"][0]["data"]
    unsigned = json_arrays.loads(body_of([2 * n + 1 for n in numbers], [2000], "UINT64"))

    assert signed.tolist() == numbers
    assert unsigned["inputs"][0]["data"].tolist() == [2 * number + 1 for number in numbers]


@pytest.mark.parametrize("load", [bytes, bytearray])
def test_broken_json_is_refused_at_its_own_place(load):
    body = load(body_of([0.5] * 2000, [2000]) + b"]")
    with pytest.raises(orjson.JSONDecodeError) as caught:
        json_arrays.loads(body)
    assert caught.value.pos == len(body) - 1


# The same as orjson, whatever comes

ODD_NUMBERS = (
    "-0 -0.0 0e0 1E5 1e+5 1e-400 1e400 -1e400 3.5e38 65520 4.9e-324 0.1000000000000000055511 "
    "9007199254740993 18446744073709551616 123456789012345678901234567890"
)
NO_NUMBERS = (
    "01 1. .5 +1 - 1e 1e+ NaN Infinity nan 0x1 1_0 --1 1-1 true false null 1d \0 \ufeff {} [] "
    '"" "1" "data" {"data":[1,2,3]}'
)
NUMBER_TEXTS = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.integers(-3, 300).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-10, 10, width=16).map("{:e}".format),
    st.sampled_from(ODD_NUMBERS.split(" ")),
    st.sampled_from([*NO_NUMBERS.split(" "), "1 2", "", "\x0b1"]),
)
GAPS = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n  ", "            "])


def seldom(draw):
    """Is this one of the few examples that has something odd here?"""
    return draw(st.sampled_from([*[False] * 14, True]))


@st.composite
def array_texts(draw, depth=3):
    """JSON arrays of numbers, most of them regular."""
    if depth and draw(st.booleans()):
        inner = draw(array_texts(depth=depth - 1))
        items = [inner] * draw(st.integers(0 if seldom(draw) else 1, 4))
        if seldom(draw):
            items.append(draw(array_texts(depth=0)))
    else:
        plain = st.sampled_from(
            draw(st.sampled_from(["0 1", "0 1 20 300", "0 1 2.5 -3 1e3"])).split()
        )
        kinds = st.one_of(plain, NUMBER_TEXTS) if seldom(draw) else plain
        items = draw(st.lists(kinds, min_size=0 if seldom(draw) else 1, max_size=12))
    gap = draw(GAPS)
    return f"[{gap}{(gap + ',' + gap).join(items)}{gap}]"


@st.composite
def tensor_texts(draw):
    """Tensors with fields in any order, now and then one twice, missing or wrong."""
    data = draw(array_texts())
    try:
        shape = list(np.shape(orjson.loads(data)))
    except ValueError:
        shape = [draw(st.integers(0, 5))]
    if seldom(draw):
        shape = draw(st.sampled_from([[int(np.prod(shape))], [*shape, 1], [1, *shape]]))
    fields = [
        ("name", '"x"'),
        ("shape", str(shape)),
        ("datatype", f'"{draw(st.sampled_from(NUMBERS))}"'),
        ("data", data),
        ("parameters", '{"content_type": "np"}'),
    ]
    if seldom(draw):
        fields.pop(draw(st.integers(0, len(fields) - 1)))
    if seldom(draw):
        fields.append(draw(st.sampled_from(ODD_FIELDS)))
    order = draw(st.permutations(fields))
    gap = draw(GAPS)
    return "{" + ",".join(f'{gap}"{name}"{gap}:{gap}{value}' for name, value in order) + gap + "}"


ODD_FIELDS = [
    *[
        ("shape", each)
        for each in ("2", "[2.0]", "[true]", "[-1]", '["a"]', "[9223372036854775808]")
    ],
    *[("datatype", each) for each in ('"FP8"', '"BYTES"', "7", "null", '["FP32"]')],
    *[("data", each) for each in ('{"data": [1, 2, 3, 4]}', "[7]", "[1, 2, 3, 4]", "null", "7")],
    *[("parameters", each) for each in ('{"data": [1, 2, 3, 4]}', "7", '"\\"data\\": [1, 2, 3]"')],
    *[(name, "[1, 2, 3, 4]") for name in ("more", 'x\\"data', "d\\u0061ta", "datas")],
]
ODD_REQUESTS = [
    '{"id": "x", "inputs": [%s], "parameters": {"data": [1, 2, 3, 4, 5]}}',
    '{"inputs": [%s], "inputs": [%s]}',
    '\ufeff{"inputs": [%s]}',
    '{"id": "\\ud800", "inputs": [%s]}',
    '{"inputs": [%s]} {}',
    '{"inputs": {"data": %s}}',
    "[%s]",
    "%s",
]


@st.composite
def bodies(draw):
    """Inference requests, now and then with a few bytes changed."""
    tensors = ", ".join(draw(st.lists(tensor_texts(), min_size=1, max_size=3)))
    text = '{"id": "\\ud83d\\ude00", "inputs": [%s], "outputs": [{"name": "data"}]}'
    text = draw(st.sampled_from(ODD_REQUESTS)) if seldom(draw) else text
    body = bytearray(text.replace("%s", tensors).encode())
    for _ in range(draw(st.integers(1, 3)) if seldom(draw) else 0):
        at = draw(st.integers(0, len(body) - 1))
        new = draw(st.sampled_from([b"%c" % each for each in b'[]{},:"\\0e.- \xff\x00']))
        body[at : at + draw(st.integers(0, 2))] = new
    return bytes(body)


@settings(deadline=None, max_examples=250)
@given(body=bodies(), piece=st.integers(2, 40))
def test_what_is_read_is_what_orjson_reads(body, piece):
    assert_same(body, piece=piece)


@settings(deadline=None, max_examples=100)
@given(numbers=st.lists(NUMBER_TEXTS, min_size=1, max_size=6), datatype=st.sampled_from(NUMBERS))
def test_numbers_are_those_of_orjson_however_they_are_written(numbers, datatype):
    text = '{"inputs": [{"name": "x", "datatype": "%s", "shape": [%d], "data": [%s]}]}'
    assert_same((text % (datatype, len(numbers), ", ".join(numbers))).encode())


@settings(deadline=None, max_examples=100)
@given(
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
    datatype=st.sampled_from(sorted(FLOATS)),
)
def test_floats_are_rounded_once(numbers, datatype):
    assert_same(body_of(numbers, [len(numbers)], datatype), piece=64)


@pytest.mark.parametrize(
    "data",
    [
        "[1,2,3,4",
        "[1,2,3,4]]",
        "[1,2,3,4,]",
        "[,1,2,3,4]",
        "[1,2,,3,4]",
        "[1,2,   ,3,4]",
        "[1,2][3,4]",
        "[1,2],[3,4]",
        "[[1,2],[3,4]",
        "[[1,2],3[,4]]",
        "[[1,2],[3,4,]]",
        "[[1,2],[,3,4]]",
        "[[1,2],[3],[4]]",
        "[[1,2],3,4]",
        "[1,2,[3,4]]",
        "[[],1,2,3,4]",
        "[[1,2,3,4],]",
        "[[1,2,3,4],[]]",
        "[1,2,3,4]5",
        "5[1,2,3,4]",
        "-[1,2,3,4]",
        "[1,2,3,4].0",
        "[" * 70 + "1,2,3,4" + "]" * 70,
        "[" * 2000 + "1,2,3,4" + "]" * 2000,
    ],
)
@pytest.mark.parametrize("piece", [3, 5, 1000])
def test_data_in_another_nesting_are_what_orjson_says(data, piece):
    text = '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": %s}]}'
    assert_same((text % data).encode(), piece=piece)


@pytest.mark.parametrize("shape", [[5], [7], [2, 3], [6, 1], [1, 6]])
@pytest.mark.parametrize("piece", [7, 1000])
def test_too_few_and_too_many_numbers_are_what_orjson_says(shape, piece):
    numbers = [1.125, 2.25, 3.5, 4.75, 5.875, 6.125]
    assert_same(body_of(numbers, shape), piece=piece)
    assert_same(body_of([numbers[:3], numbers[3:]], shape), piece=piece)


@pytest.mark.parametrize(
    "shape",
    [
        [2**62, 2**62],
        [4, 2**63],
        [0, 4],
        [*[1] * 63, 4],
        [1] * 65,
        [2**40, *[1] * 60],
        [2.0, 2],
        [True, 4],
        "22",
        {"2": 2},
        [],
    ],
)
def test_shapes_that_no_such_array_has_are_what_orjson_says(shape):
    assert_same(body_of([1, 2, 3, 4], shape))
    assert_same(body_of([[1, 2], [3, 4]], shape))
