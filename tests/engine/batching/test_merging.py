from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlserver_core.engine.batching.merging import Unsplittable, merge, split
from mlserver_core.engine.batching.parts import to_part
from mlserver_core.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    RequestInput,
    ResponseOutput,
)
from mlserver_core.types.datatypes import to_dtype

#: The machine may be busy with other things.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = (st.text(max_size=4), st.binary(max_size=4))


@st.composite
def tensors(draw, datatype, shape, texts, name="x"):
    """A tensor as a transport hands it on: an array, flat or in its shape, or a list of texts."""
    count = math.prod(shape)
    if datatype is Datatype.BYTES:
        data = draw(st.lists(texts, min_size=count, max_size=count))
    else:
        dtype = to_dtype(datatype)
        raw = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
        octets = np.frombuffer(raw, np.uint8)
        data = (octets & 1 if datatype is Datatype.BOOL else octets).view(dtype).reshape(shape)
    if datatype is not Datatype.BYTES and draw(st.booleans()):
        data = data.reshape(-1)
    return RequestInput(name=name, shape=shape, datatype=datatype, data=data)


@st.composite
def agreeing(draw):
    """Parts of equal keys, with one or two inputs of any datatype and trailing shape."""
    kinds = [
        (
            draw(st.sampled_from(Datatype)),
            draw(st.lists(st.integers(0, 2), max_size=2)),
            draw(st.sampled_from(TEXTS)),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    parts = []
    for number in range(draw(st.integers(2, 3))):
        rows = draw(st.integers(1, 2))
        inputs = [
            draw(tensors(datatype, [rows, *trailing], texts, f"x{position}"))
            for position, (datatype, trailing, texts) in enumerate(kinds)
        ]
        parts.append(to_part(InferenceRequest(id=str(number), inputs=inputs)))
    return parts


def echo(request):
    """The inputs as outputs."""
    outputs = [
        ResponseOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
        for each in request.inputs
    ]
    return InferenceResponse(model_name="m", model_version="v1", id=request.id, outputs=outputs)


def contents(tensor):
    root = tensor.data.root
    if isinstance(root, list):
        return root
    return (root.dtype, np.ascontiguousarray(root).tobytes())


@untimed
@given(agreeing())
def test_what_was_merged_comes_back_to_whom_it_belongs(parts):
    assert len({part.key for part in parts}) == 1
    merged = merge(parts, "batch")
    assert merged.id == "batch"
    rows = sum(part.rows for part in parts)
    assert all(each.shape[0] == rows for each in merged.inputs)
    for answer, part in zip(split(echo(merged), parts), parts, strict=True):
        assert (answer.id, answer.model_name, answer.model_version) == (part.request.id, "m", "v1")
        for output, tensor in zip(answer.outputs, part.request.inputs, strict=True):
            assert (output.name, output.datatype) == (tensor.name, tensor.datatype)
            assert output.shape == tensor.shape
            assert contents(output) == contents(tensor)


@untimed
@given(agreeing())
def test_no_two_requests_share_memory_that_can_be_changed(parts):
    merged = merge(parts, "batch")
    answers = split(echo(merged), parts)
    for position, tensor in enumerate(merged.inputs):
        roots = [part.request.inputs[position].data.root for part in parts]
        given_out = [answer.outputs[position].data.root for answer in answers]
        if isinstance(tensor.data.root, list):
            assert len({id(root) for root in [tensor.data.root, *roots, *given_out]}) == (
                1 + 2 * len(parts)
            )
            continue
        assert tensor.data.root.flags.writeable
        assert not any(np.shares_memory(tensor.data.root, root) for root in roots)
        for one, other in itertools.pairwise(given_out):
            assert not np.shares_memory(one, other)


def request(id="r", rows=1, **changes):
    tensor = {"name": "x", "shape": [rows], "datatype": "INT32", "data": np.arange(rows)}
    return InferenceRequest(id=id, inputs=[tensor], **changes)


def parts_of(*requests):
    return [to_part(each) for each in requests]


def answer(**output):
    values = {"name": "y", "shape": [3], "datatype": "INT32", "data": np.arange(3), **output}
    return InferenceResponse(model_name="m", outputs=[values])


def test_a_merged_request_has_what_is_common_and_no_headers_r3():
    ours = {"threshold": 0.5, "headers": {"authorization": "alice"}}
    theirs = {"threshold": 0.5, "headers": {"authorization": "bob"}}
    merged = merge(parts_of(request(parameters=ours), request(parameters=theirs)), "batch")
    assert merged.parameters.threshold == 0.5
    assert merged.parameters.headers is None


def test_a_model_that_changes_what_it_is_asked_changes_no_request_of_the_batch():
    first = request(
        parameters={"nested": {"list": [1]}, "headers": {"a": "b"}},
        outputs=[{"name": "y", "parameters": {"p": 1}}],
    )
    first.inputs[0].parameters = {"nested": {"list": [1]}}
    first = InferenceRequest.model_validate(first.model_dump())
    merged = merge(parts_of(first, first), "batch")
    merged.parameters.nested["list"].append(2)
    merged.inputs[0].parameters.nested["list"].append(2)
    merged.outputs[0].parameters.p = 2
    assert first.parameters.nested == {"list": [1]}
    assert first.parameters.headers == {"a": "b"}
    assert first.inputs[0].parameters.nested == {"list": [1]}
    assert first.outputs[0].parameters.p == 1


def test_each_answer_has_all_parameters_and_headers_as_a_copy_of_its_own_w5():
    merged = answer(parameters={"labels": ["cat"], "n": 3})
    merged.parameters = {"note": {"a": 1}, "headers": {"x-model": "m"}}
    merged = InferenceResponse(**{**merged.model_dump(), "parameters": merged.parameters})
    one, other = split(merged, parts_of(request(rows=1), request(rows=2)))
    one.parameters.headers["x-model"] = one.parameters.note["a"] = "changed"
    one.outputs[0].parameters.labels.append("dog")
    assert other.parameters.headers == {"x-model": "m"}
    assert other.parameters.note == {"a": 1}
    assert other.outputs[0].parameters.labels == ["cat"]


def test_parameters_of_outputs_stay_as_the_model_gave_them_w6():
    given_out = {"text": "bar", "number": 3, "list": ["a", "b", "c"], "content_type": "np"}
    for each in split(answer(parameters=given_out), parts_of(request(rows=1), request(rows=2))):
        assert each.outputs[0].parameters.to_plain() == given_out


@pytest.mark.parametrize(
    "output",
    [
        {"shape": [2], "data": np.arange(2)},
        {"shape": [1, 3]},
        {"shape": [], "data": np.arange(1)},
        {"datatype": "BYTES", "data": ["one for all"]},
        {"datatype": "BYTES", "data": "one for all"},
        {"datatype": "BYTES", "data": ["a", "b"]},
        {"datatype": "BYTES", "shape": [3, 2], "data": ["a", "b", "c"]},
    ],
    ids=["rows", "one row", "no rows", "one text", "bare text", "texts", "texts by row"],
)
def test_an_answer_without_a_row_for_each_row_is_not_split(output):
    with pytest.raises(Unsplittable, match="'y'"):
        split(answer(**output), parts_of(request(rows=1), request(rows=2)))


def test_arrays_in_their_shape_stay_so_unless_one_of_the_batch_is_flat():
    def asking(data):
        tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": data}
        return to_part(InferenceRequest(inputs=[tensor]))

    shaped, flat = np.zeros((1, 2), np.float32), np.zeros(2, np.float32)
    assert merge([asking(shaped), asking(shaped)], "b").inputs[0].data.root.shape == (2, 2)
    assert merge([asking(shaped), asking(flat)], "b").inputs[0].data.root.shape == (4,)


def test_null_is_still_nan_in_a_merged_request():
    def asking(value):
        tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [value]}
        return to_part(InferenceRequest(inputs=[tensor]))

    (tensor,) = merge([asking(None), asking(1)]).inputs
    np.testing.assert_array_equal(tensor.data.root, [np.nan, 1])
