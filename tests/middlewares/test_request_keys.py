"""Two requests have one digest if, and only if, they are the same to a model."""

from __future__ import annotations

import copy
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.engine.admission import admit
from mlserver_core.middlewares.request_keys import IGNORED_HEADERS, RequestKeys
from mlserver_core.model import MLModel
from mlserver_core.settings import ModelSettings
from mlserver_core.types import InferenceRequest, RequestInput
from mlserver_core.types.context import RequestContext

MODEL = ModelSettings(name="m", implementation=MLModel)
TENSOR = {"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}


def digest(request, headers=None, ignored=IGNORED_HEADERS):
    """That of a request in JSON, as it comes to a model."""
    made = InferenceRequest.model_validate(copy.deepcopy(request))
    admit(made, MODEL, RequestContext(headers=headers or {}))
    return RequestKeys.ignoring(ignored).digest(made)


def of_tensor(**changes):
    return digest({"inputs": [TENSOR | changes]})


def of_array(array, datatype="FP64"):
    tensor = RequestInput(name="x", datatype=datatype, shape=array.shape, data=array)
    return RequestKeys.ignoring(()).digest(InferenceRequest(inputs=[tensor]))


def test_a_digest_has_32_bytes_whatever_the_size_of_the_request():
    assert len(of_tensor()) == len(of_array(np.zeros(100_000))) == 32


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "y"},
        {"datatype": "FP32"},
        {"datatype": "INT64"},
        {"shape": [2, 1]},
        {"data": [1.0, 3.0]},
        {"data": [2.0, 1.0]},
        {"parameters": {"content_type": "np"}},
        {"parameters": {"headers": {"a": "b"}}},
    ],
)
def test_whatever_is_said_of_a_tensor_counts(changes):
    assert of_tensor(**changes) != of_tensor()


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"threshold": 0.5}},
        {"parameters": {"content_type": "np"}},
        {"outputs": [{"name": "y"}]},
        {"outputs": [{"name": "y", "parameters": {"content_type": "np"}}]},
        {"outputs": [{"name": "y"}, {"name": "z"}]},
        {"outputs": [{"name": "z"}, {"name": "y"}]},
        {"inputs": []},
        {"inputs": [TENSOR, TENSOR]},
        {"inputs": [TENSOR, TENSOR | {"name": "y"}]},
        {"inputs": [TENSOR | {"name": "y"}, TENSOR]},
    ],
)
def test_parameters_requested_outputs_and_the_order_of_tensors_count(changes):
    one = {"inputs": [TENSOR], "parameters": {}}
    others = [one | {"outputs": [{"name": "y"}]}] if "outputs" not in changes else []
    assert digest(one | changes) not in map(digest, [one, *others])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, False), (False, True), (0, False), (1, True), (1, 1.0), (0.0, -0.0), ("1", 1),
        ("", None), ([], {}), ([], ""), (["ab"], ["a", "b"]), ([["a"], "b"], [["a", "b"]]),
        ({"a": "b"}, ["a", "b"]), ({"a": None}, {}), (16, "10"), (-1, 1), ("é", "e\u0301"),
    ],
)  # fmt: skip
def test_parameters_of_differing_values_or_types_differ(one, other):
    digests = {digest({"inputs": [], "parameters": {"p": each}}) for each in (one, other)}
    assert len(digests) == 2


def test_what_makes_no_difference_to_a_model_makes_none():
    one = {"inputs": [TENSOR], "parameters": {"a": {"b": 1, "c": 2}, "d": 3}}
    same = {
        "id": "another",
        "parameters": {"d": 3, "a": {"c": 2, "b": 1}},
        "inputs": [TENSOR | {"parameters": {}}],
        "outputs": [],
    }
    assert digest(one) == digest(same)
    nested = {"shape": [2, 2], "data": [[1, 2], [3, 4]]}
    assert of_tensor(**nested) == of_tensor(shape=[2, 2], data=[1.0, 2.0, 3.0, 4.0])


def test_an_array_is_the_same_wherever_it_lies_in_memory():
    array = np.arange(12.0).reshape(3, 4)
    wide = np.zeros((3, 8))
    wide[:, ::2] = array
    read_only = array.copy()
    read_only.setflags(write=False)
    for each in (np.asfortranarray(array), wide[:, ::2], read_only):
        assert of_array(each) == of_array(array)
    assert of_array(array.T) != of_array(array)


def test_nan_is_nan_and_zero_has_a_sign():
    assert of_tensor(data=[math.nan, 1.0]) == of_tensor(data=[math.nan, 1.0])
    assert of_tensor(data=[math.nan, 1.0]) == of_tensor(data=[None, 1.0])
    quiet, other = (
        np.array([bits], np.uint64).view(np.float64) for bits in (0x7FF8 << 48, 0x7FF9 << 48)
    )
    assert of_array(quiet) != of_array(other)
    assert of_tensor(data=[0.0, 1.0]) != of_tensor(data=[-0.0, 1.0])
    assert of_tensor(data=[math.inf, 1.0]) != of_tensor(data=[-math.inf, 1.0])


def test_equal_memory_of_differing_datatypes_differs():
    zeros = {np.dtype(name): np.zeros(4, name) for name in ("int32", "uint32", "float32")}
    assert len({of_array(array, "FP32") for array in zeros.values()}) == 3
    half = [np.zeros(4, dtype) for dtype in (np.float16, ml_dtypes.bfloat16, np.int16)]
    assert len({of_array(array, "FP32") for array in half}) == 3


def test_text_is_not_bytes_and_elements_do_not_run_together():
    texts = [["1"], [b"1"], ["1", ""], ["", "1"], [b"1", ""], [None], ["None"], ["s1;1"], []]
    digests = [
        digest({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [len(each)], "data": each}]})
        for each in texts
    ]
    assert len(set(digests)) == len(texts)


def test_headers_count_unless_they_are_ignored_in_any_case():
    request = {"inputs": [TENSOR]}
    plain = digest(request)
    assert digest(request, {"authorization": "Bearer a"}) != plain
    assert digest(request, {"authorization": "Bearer a"}) != digest(
        request, {"authorization": "Bearer b"}
    )
    assert digest(request, {"X-User": "a"}) == digest(request, {"x-user": "a"})
    ignored = ["Authorization", "X-Mine-*"]
    assert digest(request, {"authorization": "a", "x-mine-1": "b"}, ignored) == plain
    assert digest(request, {"x-mine": "b"}, ignored) != plain
    assert digest(request, {"traceparent": "a"}, ignored) != plain
    assert digest(request, {"a": "b", "c": "d"}, ["*"]) == plain


def test_by_default_who_asks_counts_and_how_it_came_does_not():
    request = {"inputs": [TENSOR]}
    plain = digest(request)
    for name in ("cookie", "x-forwarded-user", "x-forwarded-client-cert", "accept-language", "x-a"):
        assert digest(request, {name: "a"}) != plain, name
    for name in IGNORED_HEADERS:
        assert digest(request, {name.replace("*", "any"): "a"}) == plain, name


@pytest.mark.parametrize("value", [object(), {1: "a"}, [{"a": {1}}]])
def test_what_no_transport_brings_has_no_digest(value):
    request = InferenceRequest(inputs=[], parameters={"p": value})
    assert RequestKeys.ignoring(()).digest(request) is None


def test_what_is_nested_too_deeply_has_no_digest():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    assert (
        RequestKeys.ignoring(()).digest(InferenceRequest(inputs=[], parameters={"p": deep})) is None
    )


NAMES = st.sampled_from(["a", "b", "content_type"])
WORDS = st.sampled_from(["a", "b", "ab", "", "1"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, -0.0, 1.0]) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
PARAMETERS = st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2)


@st.composite
def tensors(draw):
    rows, datatype = draw(st.integers(0, 2)), draw(st.sampled_from(["INT64", "FP64", "BYTES"]))
    element = st.sampled_from(["a", b"a", "", "aa"]) if datatype == "BYTES" else st.integers(0, 1)
    return {
        "name": draw(NAMES),
        "datatype": datatype,
        "shape": [rows, 1] if draw(st.booleans()) else [rows],
        "parameters": draw(PARAMETERS),
        "data": draw(st.lists(element, min_size=rows, max_size=rows)),
    }


REQUESTS = st.fixed_dictionaries(
    {
        "id": WORDS,
        "parameters": PARAMETERS,
        "inputs": st.lists(tensors(), max_size=2),
        "outputs": st.none() | st.lists(st.fixed_dictionaries({"name": WORDS}), max_size=2),
    }
)
HEADERS = st.dictionaries(st.sampled_from(["x-user", "traceparent"]), WORDS, max_size=2)


def canonical(value):
    """A text that is the same for what is the same, by Python's own rules."""
    if isinstance(value, dict):
        return f"{{{sorted((name, canonical(each)) for name, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{[canonical(each) for each in value]}]"
    return repr(value)


@given(REQUESTS, HEADERS, REQUESTS, HEADERS)
def test_digests_are_equal_if_and_only_if_requests_are_the_same(one, its_headers, other, headers):
    def identity(request, given):
        what = {name: request[name] for name in ("parameters", "inputs")}
        what["outputs"] = request["outputs"] or []
        return canonical(what), given.get("x-user")

    same = identity(one, its_headers) == identity(other, headers)
    assert (digest(one, its_headers) == digest(other, headers)) is same


@given(REQUESTS, st.data())
def test_a_request_that_is_built_anew_has_the_same_digest(request, data):
    def shuffled(value):
        if isinstance(value, dict):
            names = data.draw(st.permutations(list(value)))
            return {name: shuffled(value[name]) for name in names}
        return [shuffled(each) for each in value] if isinstance(value, list) else value

    other = shuffled(request) | {"id": "another"}
    assert digest(other, {"traceparent": "1"}) == digest(request)
