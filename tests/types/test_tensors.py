"""Is this data a tensor of this datatype and shape? Every rule, and the text of every refusal."""

import math
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mlserver_core.errors import InvalidRequest
from mlserver_core.types import Datatype
from mlserver_core.types.datatypes import FLOATS, to_dtype
from mlserver_core.types.tensors import count_elements, to_elements, to_values

D = Datatype
INTEGERS = [each for each in D if each not in FLOATS and each not in (D.BOOL, D.BYTES)]
NUMBERS = [each for each in D if each is not D.BYTES]
modest = settings(deadline=None, max_examples=60)


def refusal(datatype, shape, data, name="x"):
    with pytest.raises(InvalidRequest) as caught:
        to_elements(name, datatype, shape, data)
    return str(caught.value)


def same(left, right):
    """Equal in dtype, shape and every bit but the payload of NaN."""
    if left.dtype.name == "bfloat16":
        left, right = left.astype("f4"), right.astype("f4")
    np.testing.assert_array_equal(left, right, strict=True)
    if left.dtype.kind == "f":
        assert (np.signbit(left) == np.signbit(right))[~np.isnan(left)].all()
    return True


# Numbers


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "expected"),
    [
        (D.BOOL, [2], [True, False], [True, False]),
        (D.BOOL, [2], [1, 0], [True, False]),
        (D.UINT8, [2], [0, 255], [0, 255]),
        (D.INT8, [2], [-128, 127], [-128, 127]),
        (D.INT64, [2], [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        (D.UINT64, [2], [0, 2**64 - 1], [0, 2**64 - 1]),
        (D.UINT64, [2], [2**63, 1], [2**63, 1]),
        (D.INT32, [2], [2.0, -1], [2, -1]),
        (D.FP32, [2], [1, 2.5], [1.0, 2.5]),
        (D.FP64, [2], [2**53 + 1, 1], [2.0**53, 1.0]),
        (D.FP64, [1], [2**64], [2.0**64]),
        (D.FP32, [2], [2**63, -1], [2.0**63, -1.0]),
        (D.FP16, [1], [65504], [65504.0]),
        (D.BF16, [2], [1.5, -2], [1.5, -2.0]),
        (D.FP32, [2, 2], [1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0]),
        (D.FP32, [2, 2], [[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]]),
        (D.INT8, [1, 2, 1], [[[1], [2]]], [[[1], [2]]]),
        (D.INT8, [2, 1], (1, 2), [1, 2]),
        (D.INT8, [], [5], [5]),
        (D.FP32, [0], [], []),
        (D.FP32, [0, 7], [], []),
        (D.FP32, [2, 0], [[], []], [[], []]),
    ],
)
def test_data_that_fits_becomes_an_array_of_the_datatype(datatype, shape, data, expected):
    made = to_elements("x", datatype, shape, data)

    assert made.dtype == to_dtype(datatype)
    assert made.tolist() == expected


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize("data", [[], [[], []], np.empty((2, 0)), np.empty(0, "U1")])
def test_no_elements_have_the_datatypes_dtype(datatype, data):
    made = to_elements("x", datatype, [2, 0], data)

    assert made.dtype == to_dtype(datatype)
    assert made.size == 0


@pytest.mark.parametrize("datatype", sorted(FLOATS))
def test_null_is_nan_where_floats_are_due(datatype):
    made = to_elements("x", datatype, [2, 2], [[None, 1], [2.5, None]])

    assert made.dtype == to_dtype(datatype)
    assert np.isnan(made.astype(np.float64)).tolist() == [[True, False], [False, True]]
    assert made[1, 0] == 2.5


@pytest.mark.parametrize("datatype", [*INTEGERS, D.BOOL])
def test_null_is_refused_elsewhere_with_its_position(datatype):
    assert refusal(datatype, [3], [1, 0, None]) == (
        f"tensor 'x': element 2 is null, expected {datatype}"
    )


@pytest.mark.parametrize(
    ("datatype", "data", "shown"),
    [
        (D.INT32, [1.7], "the value 1.7"),
        (D.UINT8, [1, 300], "the value 300"),
        (D.UINT8, [-1], "the value -1"),
        (D.INT8, [-129.0], "the value -129.0"),
        (D.INT16, [1, 2**15, 2**16], "the value 32768"),
        (D.INT64, [2**63], "the value 9223372036854775808"),
        (D.INT64, [2**63, -1], "the value 9223372036854775808"),
        (D.INT64, [-1, 2**63, 1], "the value 9223372036854775808"),
        (D.INT64, [2**63, 1.0], "the value 9223372036854775808"),
        (D.INT64, [2**64, 0.5], "the value 18446744073709551616"),
        (D.INT64, [-(2**63) - 1], "the value -9223372036854775809"),
        (D.INT64, [1e300], "the value 1e+300"),
        (D.INT64, [float(2**63)], "the value 9.223372036854776e+18"),
        (D.UINT64, [2**63, -1], "the value -1"),
        (D.UINT64, [2**64], "the value 18446744073709551616"),
        (D.INT64, [math.nan], "the value nan"),
        (D.INT64, [math.inf], "the value inf"),
        (D.INT32, [1, -math.inf], "the value -inf"),
        (D.FP16, [70000], "the value 70000"),
        (D.FP16, [65520.0], "the value 65520.0"),
        (D.FP32, [0, 1e39], "the value 1e+39"),
        (D.FP32, [-1e39], "the value -1e+39"),
        (D.BF16, [1e39], "the value 1e+39"),
        (D.BOOL, [1, 2], "the value 2"),
        (D.BOOL, [-1], "the value -1"),
    ],
)
def test_a_value_the_datatype_cannot_hold_is_refused_and_named(datatype, data, shown):
    text = refusal(datatype, [len(data)], data)

    assert text.startswith(f"tensor 'x': {shown}")
    assert text.endswith(f" does not fit datatype {datatype}")


@pytest.mark.parametrize(
    ("datatype", "data", "text"),
    [
        (D.INT32, [1, "2"], "element 1 is the string '2', expected INT32"),
        (D.FP32, ["a"], "element 0 is the string 'a', expected FP32"),
        (D.FP32, [[1.0, 2.0], [3.0, "a"]], "element 3 is the string 'a', expected FP32"),
        (D.BOOL, [True, "x"], "element 1 is the string 'x', expected BOOL"),
        (D.BOOL, [True, None], "element 1 is null, expected BOOL"),
        (D.FP32, [1, {}], "element 1 is an object, expected FP32"),
        (D.FP32, [None, True], "element 1 is the boolean true, expected FP32"),
        (D.INT8, [1, None, "a"], "element 1 is null, expected INT8"),
    ],
)
def test_an_element_that_is_no_number_is_named_by_its_position(datatype, data, text):
    shape = list(np.shape(data))

    assert refusal(datatype, shape, data) == f"tensor 'x': {text}"


@pytest.mark.parametrize("datatype", [*INTEGERS, *sorted(FLOATS)])
def test_a_boolean_among_numbers_is_refused_as_it_is_alone(datatype):
    assert "the boolean true" in refusal(datatype, [1], [True])
    assert "the boolean true" in refusal(datatype, [2], [2, True])


def test_integers_above_2_to_the_53_keep_every_digit():
    exact = [2**53 + 1, 2**62 + 1, -(2**53) - 1]

    assert to_elements("x", D.INT64, [3], exact).tolist() == exact
    assert to_elements("x", D.INT64, [4], [*exact, 1.0]).tolist() == [*exact, 1]
    assert to_elements("x", D.UINT64, [2], [2**64 - 1, 1.0]).tolist() == [2**64 - 1, 1]
    assert to_elements("x", D.UINT64, [3], [2**64 - 1, 2**63, 0]).tolist() == [2**64 - 1, 2**63, 0]


def test_an_integer_no_float_can_hold_is_refused():
    assert refusal(D.FP64, [1], [10**400]) == (
        "tensor 'x': an integer is too large for datatype FP64"
    )


@pytest.mark.parametrize("datatype", sorted(FLOATS))
def test_infinities_and_nan_are_kept(datatype):
    made = to_elements("x", datatype, [3], [math.inf, -math.inf, math.nan]).astype("f8")

    assert made[:2].tolist() == [math.inf, -math.inf]
    assert math.isnan(made[2])


def test_floats_are_rounded_to_the_nearest_of_the_datatype():
    assert to_elements("x", D.FP32, [1], [0.1])[0] == np.float32(0.1)
    assert to_elements("x", D.FP16, [1], [65519.0])[0] == 65504
    assert to_elements("x", D.FP16, [1], [1e-10])[0] == 0


@pytest.mark.parametrize(
    ("shape", "data", "text"),
    [
        ([3], [1, 2], "shape [3] expects 3 elements, got 2"),
        ([1], [1, 2], "shape [1] expects 1 elements, got 2"),
        ([], [], "shape [] expects 1 elements, got 0"),
        ([0], [1], "shape [0] expects 0 elements, got 1"),
        ([2, 2], [1, 2, 3], "shape [2, 2] expects 4 elements, got 3"),
        ([4], [[1, 2], [3, 4]], "expected data flat or nested as shape [4], "),
        ([2, 1], [[1, 2]], "expected data flat or nested as shape [2, 1], "),
    ],
)
def test_the_count_and_nesting_must_match_the_shape(shape, data, text):
    full = refusal(D.FP32, shape, data)

    assert full.startswith(f"tensor 'x': {text}")
    if len(np.shape(data)) > 1:
        assert full == f"tensor 'x': {text}got data nested as {list(np.shape(data))}"


@pytest.mark.parametrize(
    ("shape", "found", "text"),
    [
        ([2], (1,), "shape [2] expects 2 elements, got 1"),
        ([2, 3], (5,), "shape [2, 3] expects 6 elements, got 5"),
        ([2, 3], (3, 2), "expected data flat or nested as shape [2, 3], "),
        ([4], (2, 2), "expected data flat or nested as shape [4], "),
        ([-1], (1,), "shape [-1] has a negative dimension"),
        ([2, -1], (2, 1), "shape [2, -1] has a negative dimension"),
    ],
)
def test_an_array_of_the_right_dtype_must_match_the_shape_too(shape, found, text):
    assert refusal(D.FP32, shape, np.zeros(found, np.float32)).startswith(f"tensor 'x': {text}")


@modest
@given(st.sampled_from(sorted(set(D) - {D.BYTES})), st.lists(st.integers(0, 3), max_size=4))
def test_an_array_that_fits_is_taken_as_it_is(datatype, shape):
    array = np.zeros(shape, to_dtype(datatype))
    assert to_elements("x", datatype, shape, array) is array
    flat = array.reshape(-1)
    assert to_elements("x", datatype, shape, flat) is flat


@pytest.mark.parametrize(
    "data", [[[1], [2, 3]], [1, [2]], [[1], 2], [[1, None], [2]], [[[1]], [1]], [[], [1]]]
)
def test_rows_of_different_lengths_are_refused(data):
    assert refusal(D.FP32, [3], data) == (
        "tensor 'x': data is nested unevenly; every row must have the same length"
    )


@pytest.mark.parametrize("data", [[2**53, [1]], [2**53, 1, []], [[2**53], [1, 2]]])
def test_rows_of_different_lengths_with_numbers_no_float_holds_are_refused(data):
    assert "data is nested unevenly" in refusal(D.UINT64, [2], data)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (None, "null"),
        (1.5, "the value 1.5"),
        (True, "the boolean true"),
        ("text", "the string 'text'"),
        ({}, "an object"),
    ],
)
def test_data_that_is_no_list_is_refused(data, shown):
    assert refusal(D.FP32, [1], data) == f"tensor 'x': expected a list of values, got {shown}"


@pytest.mark.parametrize("datatype", [D.FP32, D.BYTES])
def test_a_negative_dimension_is_refused(datatype):
    assert refusal(datatype, [2, -1], [1]) == (
        "tensor 'x': shape [2, -1] has a negative dimension; "
        "a request gives the size of every dimension"
    )


def test_a_huge_shape_is_refused_without_allocating_it():
    shape = [10**9, 10**9, 10**9]

    tracemalloc.start()
    try:
        text = refusal(D.FP32, shape, [1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert text == f"tensor 'x': shape {shape} expects {10**27} elements, got 1"
    assert peak < 2**20


def test_a_huge_shape_with_a_zero_has_no_elements():
    assert to_elements("x", D.FP32, [2**62, 0, 2**62], []).size == 0


@pytest.mark.parametrize(
    ("datatype", "depth"),
    [(D.FP32, 70), (D.FP32, 1010), (D.FP32, 5000), (D.BYTES, 1010), (D.BYTES, 5000)],
)
def test_nesting_deeper_than_any_array_is_refused(datatype, depth):
    data = "a"
    for _ in range(depth):
        data = [data]

    assert refusal(datatype, [1], data).startswith("tensor 'x': ")


def test_the_error_names_the_tensor():
    assert refusal(D.INT8, [1], [300], name="it's mine").startswith('tensor "it\'s mine": ')


def test_a_long_string_is_cut_in_the_error():
    assert len(refusal(D.FP32, [1], "x" * 10_000)) < 120
    assert len(refusal(D.FP32, [1], ["x" * 10_000])) < 120


# Arrays


@pytest.mark.parametrize("datatype", NUMBERS)
def test_an_array_of_the_dtype_is_taken_without_a_copy(datatype):
    array = np.zeros((2, 3), to_dtype(datatype))

    assert to_elements("x", datatype, [2, 3], array) is array


@pytest.mark.parametrize(
    ("datatype", "array", "expected"),
    [
        (D.INT32, np.array([1, 2], np.int64), [1, 2]),
        (D.UINT8, np.array([1.0, 255.0]), [1, 255]),
        (D.FP32, np.array([1, 2]), [1.0, 2.0]),
        (D.BF16, np.array([1.5], np.float32), [1.5]),
        (D.FP32, np.array([1.5], ml_dtypes.bfloat16), [1.5]),
        (D.BOOL, np.array([0, 1], np.uint8), [False, True]),
        (D.FP32, np.array([1.5], ">f4"), [1.5]),
        (D.FP64, np.array([1.5, None], object), [1.5, math.nan]),
        (D.INT64, np.array([1, 2**62 + 1], object), [1, 2**62 + 1]),
        (D.BOOL, np.array([True, False], object), [True, False]),
    ],
)
def test_an_array_of_another_dtype_is_converted_if_every_value_fits(datatype, array, expected):
    made = to_elements("x", datatype, [len(expected)], array)

    assert made.dtype == to_dtype(datatype)
    assert str(made.tolist()) == str(expected)  # as text, in which nan is nan


@pytest.mark.parametrize(
    ("datatype", "array", "shown"),
    [
        (D.INT8, np.array([1, 300]), "the value 300"),
        (D.INT32, np.array([1.5], np.float32), "the value 1.5"),
        (D.BOOL, np.array([1.0]), "the value 1.0"),
        (D.FP16, np.array([1e6]), "the value 1000000.0"),
        (D.INT32, np.array(["1"]), "the string '1'"),
        (D.INT8, np.array([True]), "the boolean true"),
        (D.FP32, np.array(["a"], object), "the string 'a'"),
        (D.INT32, np.array([1, "a"], object), "the string 'a'"),
        (D.INT32, np.array([1, None], object), "null"),
        (D.INT32, np.array([1j]), "complex"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_and_the_value_named(datatype, array, shown):
    text = refusal(datatype, [array.size], array)

    assert text.startswith("tensor 'x': ")
    assert shown in text
    assert str(datatype) in text


def test_an_array_must_have_the_shape_or_be_flat():
    array = np.zeros((2, 3), np.float32)

    assert to_elements("x", D.FP32, [6, 1], array.reshape(-1)).shape == (6,)
    assert refusal(D.FP32, [3, 2], array) == (
        "tensor 'x': expected data flat or nested as shape [3, 2], got data nested as [2, 3]"
    )


def test_to_values_asks_for_no_shape():
    assert to_values("x", D.INT8, [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert to_values("x", D.INT8, np.array([5])).dtype == np.int8
    with pytest.raises(InvalidRequest) as caught:
        to_values("x", D.INT8, [128])
    assert str(caught.value) == "tensor 'x': the value 128 does not fit datatype INT8"


@pytest.mark.parametrize(
    ("shape", "count"), [([], 1), ([3], 3), ([2, 3], 6), ([5, 0], 0), ([2**40, 2**40], 2**80)]
)
def test_count_elements_is_exact(shape, count):
    assert count_elements("x", shape) == count


# BYTES


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ([2], ["a", "b"], ["a", "b"]),
        ([2], [b"a", b""], [b"a", b""]),
        ([2], ["a", None], ["a", None]),
        ([2], ("a", "b"), ["a", "b"]),
        ([1], "text", ["text"]),
        ([1], b"bytes", [b"bytes"]),
        ([1], "", [""]),
        ([], ["a"], ["a"]),
        ([0], [], []),
        ([2, 2], ["a", "b", "c", "d"], ["a", "b", "c", "d"]),
        ([2, 2], "one bare string", ["one bare string"]),
        ([2, 2], ["one element"], ["one element"]),
        ([2, 2], ["shape[0]", "elements"], ["shape[0]", "elements"]),
        ([2], np.array(["a", "bc"]), ["a", "bc"]),
        ([2], np.array([b"a", "b"], object), [b"a", "b"]),
        ([2, 1], [["a"], ["b"]], ["a", "b"]),
        ([2, 2], [["a", "b"], ["c", "d"]], ["a", "b", "c", "d"]),
        ([2, 1], np.array([["a"], ["b"]]), ["a", "b"]),
    ],
)
def test_bytes_become_one_flat_list(shape, data, expected):
    made = to_elements("x", D.BYTES, shape, data)

    assert type(made) is list
    assert made == expected


@pytest.mark.parametrize(
    ("shape", "data", "text"),
    [
        ([3], ["a", "b"], "shape [3] expects 3 elements, got 2"),
        ([1], ["a", "b"], "shape [1] expects 1 elements, got 2"),
        ([2, 2], ["a", "b", "c"], "shape [2, 2] expects 4 elements, got 3"),
        ([2, 3], ["a", "b", "c"], "shape [2, 3] expects 6 elements, got 3"),
        ([2], [], "shape [2] expects 2 elements, got 0"),
        ([2], ["a", 1], "element 1 is the value 1, expected a string"),
        ([2], ["a", True], "element 1 is the boolean true, expected a string"),
        ([2], [{}, "a"], "element 0 is an object, expected a string"),
        ([2, 1], [["a"], [0.5]], "element 1 is the value 0.5, expected a string"),
        ([2], np.array([1, 2]), "element 0 is the value 1, expected a string"),
        ([1], None, "expected a list of strings, got null"),
        ([1], 5, "expected a list of strings, got the value 5"),
        ([1], {"a": 1}, "expected a list of strings, got an object"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(shape, data, text):
    assert refusal(D.BYTES, shape, data) == f"tensor 'x': {text}"


# Any data


@st.composite
def tensors(draw):
    """A datatype and an array of its dtype, of any shape with up to four dimensions."""
    datatype = draw(st.sampled_from(NUMBERS))
    shape = draw(nps.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    if datatype is D.BF16:
        bits = draw(nps.arrays(np.uint16, shape))
        return datatype, bits.view(ml_dtypes.bfloat16)
    return datatype, draw(nps.arrays(to_dtype(datatype), shape))


@modest
@given(tensors())
def test_any_array_is_taken_as_it_is(tensor):
    datatype, array = tensor

    assert to_elements("x", datatype, array.shape, array) is array


@modest
@given(tensors())
def test_any_nested_list_round_trips_exactly(tensor):
    datatype, array = tensor

    made = to_elements("x", datatype, array.shape, array.tolist())

    assert same(made.reshape(array.shape), array)


@modest
@given(tensors())
def test_any_flat_list_round_trips_exactly(tensor):
    datatype, array = tensor

    made = to_elements("x", datatype, array.shape, array.reshape(-1).tolist())

    assert made.ndim == 1
    assert same(made.reshape(array.shape), array)


@modest
@given(tensors(), st.integers(min_value=1, max_value=3))
def test_any_list_with_elements_too_many_or_missing_is_refused(tensor, more):
    datatype, array = tensor
    flat = array.reshape(-1).tolist()
    count = len(flat)

    assert refusal(datatype, array.shape, [*flat, *([0] * more)]) == (
        f"tensor 'x': shape {list(array.shape)} expects {count} elements, got {count + more}"
    )
    if flat:
        with pytest.raises(InvalidRequest, match=f"expects {count} elements, got {count - 1}"):
            to_elements("x", datatype, array.shape, flat[1:])


@modest
@given(st.sampled_from(INTEGERS), st.data())
def test_any_integer_out_of_range_is_refused_and_named(datatype, data):
    limits = np.iinfo(to_dtype(datatype))
    low, high = int(limits.min), int(limits.max)
    inside = data.draw(st.lists(st.integers(low, high), max_size=4))
    outside = data.draw(st.integers(high + 1, 2**70) | st.integers(-(2**70), low - 1))
    position = data.draw(st.integers(0, len(inside)))
    values = [*inside[:position], outside, *inside[position:]]

    assert refusal(datatype, [len(values)], values) == (
        f"tensor 'x': the value {outside} does not fit datatype {datatype}"
    )


@modest
@given(st.sampled_from(INTEGERS), st.data())
def test_any_mix_of_integers_and_whole_floats_is_exact(datatype, data):
    limits = np.iinfo(to_dtype(datatype))
    low, high = int(limits.min), int(limits.max)
    exact = data.draw(st.lists(st.integers(low, high), min_size=1, max_size=4))
    floats = data.draw(st.lists(st.integers(max(low, -100), 100).map(float), min_size=1))

    made = to_elements("x", datatype, [len(exact) + len(floats)], [*exact, *floats])

    assert made.dtype == to_dtype(datatype)
    assert made.tolist() == [*exact, *map(int, floats)]


@modest
@given(st.sampled_from([D.FP16, D.FP32, D.BF16]), st.floats(allow_nan=False, allow_infinity=False))
def test_any_finite_float_stays_finite_or_is_refused(datatype, value):
    try:
        made = to_elements("x", datatype, [1], [value])
    except InvalidRequest as error:
        text = f"tensor 'x': the value {value} does not fit datatype {datatype}"
        assert str(error) == text  # noqa: PT017  # of those that are refused
        assert abs(value) >= 65520
    else:
        assert math.isfinite(float(made[0]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(list(D)), st.lists(st.integers(-1, 3), max_size=3), JSON)
def test_any_json_is_a_tensor_or_refused(datatype, shape, data):
    try:
        made = to_elements("x", datatype, shape, data)
    except InvalidRequest as error:
        assert str(error).startswith("tensor 'x': ")  # noqa: PT017  # of those that are refused
        return
    if datatype is D.BYTES:
        assert all(isinstance(each, (str, bytes, type(None))) for each in made)
    else:
        assert made.dtype == to_dtype(datatype)
        assert made.size == math.prod(shape)


@modest
@given(st.lists(st.text() | st.binary() | st.none()))
def test_any_strings_are_kept_as_they_are(elements):
    made = to_elements("x", D.BYTES, [len(elements)], elements)

    assert made == elements
    assert list(map(type, made)) == list(map(type, elements))


def test_text_among_numbers_is_refused_before_numpy_pads_it_to_the_longest():
    data = ["x" * 1_000_000, *["1"] * 50_000]  # as a str array 200 GB
    text = refusal(D.FP32, [len(data)], data)
    assert text.startswith("tensor 'x': element 0 is the string 'xxx")
    assert len(text) < 200


@pytest.mark.parametrize(
    ("datatype", "data", "shown"),
    [
        (D.BOOL, [1.0], "the value 1.0"),
        (D.INT32, [True, False], "the boolean true"),
        (D.FP32, [False], "the boolean false"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_named(datatype, data, shown):
    text = refusal(datatype, [len(data)], data)
    assert text == f"tensor 'x': element 0 is {shown}, expected {datatype}"


@pytest.mark.parametrize(
    "shape", [[2**63 - 1] * 100_000, [10**18 - 1] * 300, [2**63], [1] * 65, [2**63 - 1] * 64]
)
def test_a_shape_that_no_tensor_has_is_refused_at_once_and_in_few_words(shape):
    with pytest.raises(InvalidRequest) as refused:
        to_elements("x", Datatype.FP64, shape, [1.0])
    assert len(str(refused.value)) < 4000


@given(
    st.sampled_from([each for each in Datatype if each not in (Datatype.BYTES, Datatype.BF16)]),
    st.lists(
        st.booleans()
        | st.integers()
        | st.floats()
        | st.integers(-(2**31), 2**31)
        | st.sampled_from([2**31 - 1, -(2**31), 2**63 - 1, 2**63, 3.4e38, 3.5e38, None, "1"]),
        max_size=4,
    ),
)
def test_a_look_at_few_numbers_finds_what_a_look_at_each_finds(datatype, data):
    def look(few):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mlserver_core.types.tensors._FEW", few)
            try:
                return to_elements("x", datatype, [len(data)], list(data))
            except InvalidRequest as error:
                return str(error)

    quick, slow = look(64), look(-1)
    if isinstance(slow, str):
        assert quick == slow
    else:
        np.testing.assert_array_equal(quick, slow)
        assert (quick.dtype, quick.flags.writeable) == (slow.dtype, slow.flags.writeable)
