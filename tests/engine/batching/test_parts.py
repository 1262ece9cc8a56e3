from __future__ import annotations

import functools

import pytest

from mlserver_core.engine.batching.parts import count_rows, to_part
from mlserver_core.types import InferenceRequest

NAN = float("nan")


def tensor(**changes):
    return {"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1.0, 2.0], **changes}


def request(*inputs, **changes):
    values = {"id": "r", "parameters": {"headers": {}}, **changes}
    return InferenceRequest(inputs=list(inputs) or [tensor()], **values)


def agree(one, other):
    return to_part(one).key == to_part(other).key


@pytest.mark.parametrize(
    "other",
    [
        request(id="another"),
        request(parameters={"headers": {"authorization": "bob"}}),
        request(tensor(shape=[1, 1], data=[9.0])),
        request(outputs=[]),
    ],
    ids=["id", "headers", "rows", "no outputs are all"],
)
def test_requests_that_differ_in_what_is_their_own_agree(other):
    assert agree(request(), other)


@pytest.mark.parametrize(
    "other",
    [
        request(tensor(name="z")),
        request(tensor(datatype="FP64")),
        request(tensor(shape=[2], data=[1.0, 2.0])),
        request(tensor(shape=[2, 2], data=[1.0, 2.0, 3.0, 4.0])),
        request(tensor(parameters={"content_type": "np"})),
        request(tensor(parameters={})),
        request(tensor(), tensor(name="z")),
        request(parameters={"headers": {}, "content_type": "pd"}),
        request(outputs=[{"name": "y"}]),
    ],
    ids=[
        "name",
        "datatype w2",
        "rank",
        "trailing shape",
        "content type",
        "empty parameters",
        "names w3",
        "request parameters w4",
        "outputs w4",
    ],
)
def test_requests_that_differ_in_what_a_model_sees_of_both_do_not_agree(other):
    assert not agree(request(), other)


def test_texts_do_not_agree_with_bytes_whatever_is_null():
    texts, others, bytes_ = (
        request(tensor(datatype="BYTES", shape=[2], data=data))
        for data in (["a", "b"], ["c", None], [b"a", b"b"])
    )
    assert agree(texts, others)
    assert not agree(texts, bytes_)


def test_inputs_in_another_order_do_not_agree():
    one, two = tensor(), tensor(name="z")
    assert not agree(request(one, two), request(two, one))


def test_requested_outputs_agree_in_their_order_and_parameters_only():
    def asking(*outputs):
        return request(outputs=list(outputs))

    plain, other = {"name": "y"}, {"name": "z"}
    assert agree(asking(plain, other), asking(plain, other))
    assert not agree(asking(plain, other), asking(other, plain))
    assert not agree(asking(plain), asking({"name": "y", "parameters": {"classification": 2}}))


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1), (NAN, float("nan")), ([1, {"a": "b"}], [1, {"a": "b"}]), (b"a", b"a"), ("a", "a")],
)
def test_parameters_are_compared_by_value(one, other):
    def asking(value):
        return request(tensor(parameters={"p": value, "q": 1}))

    def asking_in_another_order(value):
        return request(tensor(parameters={"q": 1, "p": value}))

    assert agree(asking(one), asking_in_another_order(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (NAN, None),
        (NAN, float("inf")),
        (0, None),
        ("1", 1),
        ("a", b"a"),
        ([1], 1),
        ([], {}),
        ({"a": 1}, {"a": True}),
        ([1, 2], [2, 1]),
    ],
)
def test_parameters_that_are_equal_in_python_alone_do_not_agree(one, other):
    in_input = (request(tensor(parameters={"p": each})) for each in (one, other))
    assert not agree(*in_input)
    in_request = (request(parameters={"p": each}) for each in (one, other))
    assert not agree(*in_request)


@pytest.mark.parametrize(
    "alone",
    [
        InferenceRequest(inputs=[]),
        request(tensor(shape=[], data=[1.0])),
        request(tensor(shape=[0, 1], data=[])),
        request(tensor(), tensor(name="z", shape=[1, 1], data=[1.0])),
        request(tensor(shape=[2, 3], datatype="BYTES", data=["a", "b"])),
        request(tensor(shape=[2], datatype="BYTES", data=["both"])),
        request(tensor(data=[1.0])),
        request(tensor(parameters={"p": object()})),
        request(parameters={"p": {1, 2}}),
        request(parameters={"p": functools.reduce(lambda inner, _: [inner], range(900), 1)}),
    ],
    ids=[
        "no inputs w18",
        "no dimensions",
        "no rows",
        "rows of two kinds",
        "texts by row",
        "one text",
        "data too short",
        "odd parameter",
        "odd request parameter",
        "deep parameter",
    ],
)
def test_what_has_no_rows_of_its_own_or_cannot_be_compared_goes_alone(alone):
    assert to_part(alone) is None


def test_rows_are_the_first_dimension_of_all_inputs():
    assert count_rows(request()) == 2
    assert count_rows(request(tensor(), tensor(name="z", shape=[2], datatype="BYTES"))) == 2
    assert count_rows(request(tensor(shape=[0]))) == 0
    assert count_rows(request(tensor(shape=[]))) is None
    assert count_rows(request(tensor(), tensor(name="z", shape=[3]))) is None
    assert count_rows(InferenceRequest(inputs=[])) is None
