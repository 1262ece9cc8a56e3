"""What is kept of an answer is nobody else's, and its size is told."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.middlewares.answer_copies import KeptAnswer
from mlserver_core.types import Datatype, InferenceResponse
from mlserver_core.types.datatypes import to_datatype, to_dtype
from mlserver_core.wire.json import encode_response

ALL = 2**40


def answer(data, datatype="FP64", shape=None, **fields):
    shape = list(np.shape(data)) if shape is None else shape
    output = {"name": "y", "datatype": datatype, "shape": shape, "data": data}
    return InferenceResponse(**{"model_name": "m", "id": "1", "outputs": [output], **fields})


def root(response):
    return response.outputs[0].data.root


def test_an_answer_that_is_handed_out_is_the_one_that_was_kept_but_for_its_id():
    given = answer(
        np.arange(4.0).reshape(2, 2),
        model_version="v1",
        parameters={"content_type": "np", "headers": {"a": "b"}, "mine": [1, {"c": None}]},
    )
    given.outputs[0].parameters = {"content_type": "np", "other": 1.5}
    handed = KeptAnswer.of(given, ALL).hand_out("2")
    assert handed.id == "2"
    handed.id = given.id
    assert handed == given
    assert encode_response(handed) == encode_response(given)


NUMBERS = [each for each in Datatype if each is not Datatype.BYTES]


@pytest.mark.parametrize("datatype", NUMBERS)
def test_arrays_of_every_datatype_are_kept_and_nobody_can_write_to_them(datatype):
    array = np.ones((2, 3), to_dtype(datatype))
    kept = KeptAnswer.of(answer(array, datatype), ALL)
    array[:] = 0  # the runtime goes on with its own memory
    first, second = (root(kept.hand_out(id)) for id in ("1", "2"))
    assert first is not second  # whoever gives one another shape does so to nobody else's
    for found in (first, second):
        assert (found.dtype, found.shape, bool((found == 1).all())) == (array.dtype, (2, 3), True)
        with pytest.raises(ValueError, match="read-only"):
            found[0, 0] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            found.setflags(write=True)


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (["a", b"b"], [2]),
        ([["a"], ["b"]], [2, 1]),
        ("one text", [1]),
        (np.array(["a", "bc"]), [2]),
        (np.array([b"a", b"bc"]), [2]),
        (np.array([["a", b"b"]], dtype=object), [1, 2]),
        ([None, "a"], [2]),
    ],
)
def test_bytes_are_kept_in_whatever_form_the_runtime_gave(data, shape):
    given = answer(data, "BYTES", shape)
    before = encode_response(given)
    kept = KeptAnswer.of(given, ALL)
    for _ in range(2):
        handed = kept.hand_out("1")
        assert encode_response(handed) == before
        assert type(root(handed)) is type(data)
        if isinstance(data, list) or (
            root(handed).__class__ is np.ndarray and data.dtype.hasobject
        ):
            root(handed)[0] = "changed"


def test_changing_what_was_handed_out_changes_nothing_for_others():
    kept = KeptAnswer.of(answer(["a"], "BYTES", parameters={"headers": {"a": "b"}, "p": [1]}), ALL)
    first = kept.hand_out("1")
    first.model_name = "other"
    first.parameters.headers["c"] = "d"
    first.parameters.p.append(2)
    first.parameters.q = 3
    first.outputs[0].shape.append(7)
    first.outputs[0].data.root.append("b")
    first.outputs.append(first.outputs[0])
    second = kept.hand_out("2")
    assert second == answer(["a"], "BYTES", parameters={"headers": {"a": "b"}, "p": [1]}, id="2")


def test_changing_the_answer_that_was_kept_changes_nothing():
    given = answer([bytearray(b"a"), "b"], "BYTES", [2], parameters={"p": {"q": [1]}})
    kept = KeptAnswer.of(given, ALL)
    given.outputs[0].data.root[0][:] = b"z"
    given.parameters.p["q"].append(2)
    assert root(kept.hand_out("1")) == [b"a", "b"]
    assert kept.hand_out("1").parameters.p == {"q": [1]}


@pytest.mark.parametrize(
    "data",
    [
        [object()],
        np.array([object()], dtype=object),
        np.array([(1, "a")], dtype=[("n", "i4"), ("o", object)]),
        np.ma.masked_array([1.0], mask=[True]),
    ],
)
def test_what_no_transport_sends_is_not_kept(data):
    assert KeptAnswer.of(answer(data, "BYTES", [1]), ALL) is None
    assert KeptAnswer.of(answer(["a"], "BYTES", parameters={"p": object()}), ALL) is None


def test_what_is_nested_too_deeply_is_not_kept():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    assert KeptAnswer.of(answer([1.0], parameters={"p": deep}), ALL) is None


def test_an_answer_of_the_largest_size_is_kept_and_a_larger_one_is_not():
    given = answer(np.zeros(1000))
    size = KeptAnswer.of(given, ALL).size
    assert 8000 < size < 9000
    assert KeptAnswer.of(given, size).size == size
    assert KeptAnswer.of(given, size - 1) is None


@pytest.mark.parametrize(
    "more",
    [
        {"data": ["a" * 1000]},
        {"data": [b"a" * 1000]},
        {"data": np.array(["a" * 1000], dtype=object)},
        {"parameters": {"p": "a" * 1000}},
        {"parameters": {"p": [{"a" * 1000: 1}]}},
        {"parameters": {"headers": {"h": "a" * 1000}}},
    ],
)
def test_text_is_counted_wherever_it_stands(more):
    def size(data=("a",), parameters=None):
        return KeptAnswer.of(answer(data, "BYTES", [1], parameters=parameters), ALL).size

    assert size(**more) > size() + 990


@given(
    nps.arrays(
        st.sampled_from([to_dtype(each) for each in NUMBERS if each != "BF16"]),
        nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    )
    | nps.arrays(np.float32, (2, 2)).map(lambda array: array.astype(ml_dtypes.bfloat16).T)
)
def test_every_bit_of_an_array_is_kept(array):
    kept = root(KeptAnswer.of(answer(array, to_datatype(array.dtype)), ALL).hand_out("1"))
    assert (kept.dtype, kept.shape, kept.tobytes()) == (array.dtype, array.shape, array.tobytes())
