"""Requests, responses and contexts come as they were sent."""

import time
from collections import Counter

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlserver_core.errors import RuntimeFailed
from mlserver_core.executors.processes.values import pack, unpack
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    Parameters,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    TensorData,
)
from mlserver_core.types.context import BatchedRequest, RequestContext
from mlserver_core.types.datatypes import to_dtype

HEADERS = {"host": "localhost", "x-tenant": "a"}


def carry(value):
    """What arrives of a value."""
    metadata, buffers = pack(value)
    return unpack(metadata, bytearray(b"".join(buffers)))


TEXT = st.text(st.characters(), max_size=8)
STRINGS = st.lists(st.one_of(TEXT, st.binary(max_size=8), st.none()), max_size=5)
EXTRA = st.dictionaries(
    TEXT.filter(lambda name: name not in ("content_type", "headers", "model_extra")),
    st.one_of(TEXT, st.integers(), st.booleans(), st.none(), st.binary(max_size=5), STRINGS),
    max_size=3,
)
PARAMETERS = st.none() | st.builds(
    lambda content_type, headers, extra: Parameters(
        content_type=content_type, headers=headers, **extra
    ),
    st.none() | TEXT,
    st.none() | st.dictionaries(TEXT, TEXT | st.integers(), max_size=3),
    EXTRA,
)


@st.composite
def tensors(draw, cls):
    datatype = draw(st.sampled_from(Datatype))
    if datatype is Datatype.BYTES:
        data = draw(STRINGS)
        shape = [len(data)]
    elif datatype is Datatype.BF16:
        data = np.arange(draw(st.integers(0, 5))).astype(to_dtype(datatype))
        shape = [1, len(data)]
    else:
        data = draw(hnp.arrays(to_dtype(datatype), hnp.array_shapes(min_dims=0, min_side=0)))
        shape = list(data.shape)
    return cls(
        name=draw(TEXT), shape=shape, datatype=datatype, parameters=draw(PARAMETERS), data=data
    )


REQUESTS = st.builds(
    InferenceRequest,
    id=st.none() | TEXT,
    parameters=PARAMETERS,
    inputs=st.lists(tensors(RequestInput), max_size=3),
    outputs=st.none() | st.lists(st.builds(RequestOutput, name=TEXT, parameters=PARAMETERS)),
)
RESPONSES = st.builds(
    InferenceResponse,
    model_name=TEXT,
    model_version=st.none() | TEXT,
    id=st.none() | TEXT,
    parameters=PARAMETERS,
    outputs=st.lists(tensors(ResponseOutput), max_size=3),
)


@given(st.one_of(REQUESTS, RESPONSES))
def test_requests_and_responses_come_out_equal(sent):
    came = carry(sent)
    assert came == sent
    for mine, theirs in zip(tensors_of(came), tensors_of(sent), strict=True):
        assert type(mine.datatype) is Datatype
        assert type(mine.data) is TensorData
        assert type(mine.data.root) is type(theirs.data.root)
        if isinstance(theirs.data.root, np.ndarray):
            assert mine.data.root.shape == theirs.data.root.shape
            assert mine.data.root.dtype == theirs.data.root.dtype
        else:
            assert list(map(type, mine.data.root)) == list(map(type, theirs.data.root))


def tensors_of(value):
    return value.inputs if isinstance(value, InferenceRequest) else value.outputs


def make_request(**fields):
    tensor = RequestInput(name="x", shape=[2], datatype="INT8", data=np.int8([1, 2]))
    return InferenceRequest(**({"inputs": [tensor]} | fields))


def test_headers_are_sent_once_and_arrive_in_dicts_of_their_own():
    batch = tuple(BatchedRequest(id=str(i), headers=dict(HEADERS), rows=(i, i + 1)) for i in (0, 1))
    request = make_request(parameters=Parameters(headers=dict(HEADERS)))
    context = RequestContext(headers=HEADERS, batch=batch)
    metadata, buffers = pack({"request": request, "context": context})
    assert metadata.count(b"x-tenant") == 1
    body = unpack(metadata, bytearray(b"".join(buffers)))
    came = [
        body["request"].parameters.headers,
        body["context"].headers,
        *(each.headers for each in body["context"].batch),
    ]
    assert came == [HEADERS] * 4
    assert len(set(map(id, came))) == 4
    assert list(came[0]) == list(HEADERS)


@pytest.mark.parametrize("headers", [None, {}, {"a": 1}, {"a": True}, {"\udcff": "\ud800"}])
def test_headers_of_any_values_are_kept(headers):
    came = carry([make_request(parameters=Parameters(headers=headers)) for _ in range(2)])
    assert [each.parameters.headers for each in came] == [headers, headers]
    assert type((came[0].parameters.headers or {}).get("a")) is type((headers or {}).get("a"))


def test_times_of_a_context_are_sent_as_seconds_that_are_left(monkeypatch):
    sent = RequestContext(deadline=1005.0, start_by=998.0)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    metadata, _ = pack(sent)
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    came = unpack(metadata, bytearray())
    assert (came.deadline, came.start_by) == (55.0, 48.0)


def test_every_field_of_a_context_is_kept():
    sent = RequestContext(
        transport="grpc",
        headers=HEADERS,
        request_id="7",
        cancelled=True,
        batch=(BatchedRequest(id="a", headers={"k": "v"}, rows=(0, 3)),),
    )
    came = carry(sent)
    fields = RequestContext.__slots__
    assert Counter(fields) >= Counter(["transport", "headers", "deadline", "start_by", "batch"])
    for name in fields:
        if name != "__weakref__":
            assert getattr(came, name) == getattr(sent, name), name


@pytest.mark.parametrize(
    "data", [[1, 2.5, None], [[1, 2], [3, 4]], [], ["a", ["b"]], np.array([["a"], [b"b"]], object)]
)
def test_data_that_is_no_array_of_numbers_is_kept(data):
    request = make_request(
        inputs=[RequestInput(name="x", shape=(2,), datatype="FP32", data=data)],
    )
    came = carry(request).inputs[0].data.root
    assert type(came) is type(data)
    assert np.array_equal(came, data) if isinstance(data, np.ndarray) else came == data


def test_numbers_of_numpy_in_a_shape_become_plain():
    request = make_request(
        inputs=[RequestInput(name="x", shape=np.array([1, 2]), datatype="FP32", data=[1.0, 2.0])]
    )
    came = carry(request).inputs[0].shape
    assert came == [1, 2]
    assert {type(size) for size in came} == {int}


def test_parameters_set_as_attributes_are_kept_and_decoded_payloads_are_not():
    parameters = Parameters(content_type="np")
    parameters.threshold = 0.5
    parameters.array = np.arange(3)
    parameters._decoded_payload = object()
    came = carry(make_request(parameters=parameters)).parameters
    assert came.threshold == 0.5
    assert np.array_equal(came.array, np.arange(3))
    assert not hasattr(came, "_decoded_payload")


class Foo:
    pass


def make_response(**fields):
    output = ResponseOutput(name="y", shape=[1], datatype="BYTES", data=["a"])
    return InferenceResponse(
        outputs=[
            output,
            ResponseOutput(
                **({"name": "z", "shape": [1], "datatype": "BYTES", "data": ["a"]} | fields)
            ),
        ]
    )


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (make_response(parameters=Parameters(foo=Foo())), "outputs[1].parameters.foo"),
        (make_response(data=[Foo()]), "outputs[1].data[0]"),
        (InferenceResponse(outputs=[], parameters=Parameters(a=[Foo()])), "parameters.a[0]"),
        ({"request": make_request(parameters=Parameters(foo=Foo()))}, "request.parameters.foo"),
        (
            make_request(
                outputs=[RequestOutput(name="y", parameters=Parameters(headers={"a": Foo()}))]
            ),
            "outputs[0].parameters.headers.a",
        ),
    ],
)
def test_what_cannot_be_sent_is_named_with_its_place(value, place):
    with pytest.raises(RuntimeFailed) as caught:
        pack(value)
    assert str(caught.value).startswith(f"{place}: expected ")
    assert str(caught.value).endswith("got Foo")


def test_tensors_are_no_part_of_the_json():
    metadata, buffers = pack(make_request())
    assert buffers == [b"\1\2"]
    assert orjson.loads(metadata)
