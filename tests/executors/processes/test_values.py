"""What is packed comes out equal, and what cannot be packed is named."""

import math
import string
import sys
from collections import OrderedDict
from types import MappingProxyType

import ml_dtypes
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlserver_core.errors import RuntimeFailed
from mlserver_core.executors.processes import packing
from mlserver_core.executors.processes.values import pack, unpack
from mlserver_core.types import Datatype
from mlserver_core.types.datatypes import to_dtype


def carry(value):
    """What arrives of a value."""
    metadata, buffers = pack(value)
    return unpack(metadata, bytearray(b"".join(buffers)))


def same(one, other):
    """Equal in value and in type, NaN included."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and (one.dtype.kind != "O" or same(one.tolist(), other.tolist()))
            and (one.dtype.kind == "O" or one.tobytes() == other.tobytes())
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


TEXT = st.one_of(
    st.text(st.characters(categories=["L", "P", "N", "Cs", "Cc"])),
    st.text(),
    st.sampled_from(["$", "v", "\0", "\0ff", "\udc80", "a\ud800b"]),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.binary(max_size=20)
)
DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(endianness="?"),
    hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.datetime64_dtypes(),
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
TREES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(TREES)
def test_any_tree_of_values_comes_out_equal(value):
    assert same(carry(value), value)


@given(st.lists(st.one_of(TEXT, st.binary(), st.none())))
def test_strings_of_every_kind_in_one_list_are_kept(value):
    assert same(carry(value), value)


@given(st.lists(st.one_of(TEXT, st.binary(), st.none()), min_size=6, max_size=6))
def test_arrays_of_objects_keep_elements_and_shape(elements):
    value = np.array(elements, dtype=object).reshape(2, 3)
    assert same(carry({"x": value})["x"], value)


@pytest.mark.parametrize("datatype", [each for each in Datatype if each is not Datatype.BYTES])
@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (1, 4), (3, 1000)])
def test_arrays_of_every_datatype_and_size_are_kept(datatype, shape):
    value = (np.arange(math.prod(shape)) % 2).astype(to_dtype(datatype)).reshape(shape)
    came = carry([value, 1.5, value])
    assert same(came[0], value)
    assert same(came[2], value)
    assert came[0].flags.writeable
    assert came[0].flags.aligned


@pytest.mark.parametrize(
    "value",
    [
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(4000.0)[::-3],
        np.asfortranarray(np.arange(6000, dtype=np.int16).reshape(60, 100)),
        np.arange(5000, dtype=">i4"),
        np.broadcast_to(np.float32(3), (50, 50)),
        np.arange(12).reshape(3, 4).view(np.matrix),
    ],
    ids=["transposed", "reversed", "fortran", "big-endian", "broadcast", "subclass"],
)
def test_arrays_of_any_layout_come_as_plain_ones(value):
    came = carry(value)
    assert type(came) is np.ndarray
    assert came.dtype == value.dtype
    assert np.array_equal(came, np.asarray(value))
    assert came.flags.c_contiguous
    assert came.flags.writeable


@pytest.mark.parametrize("digits", [1, 19, 20, 5000])
def test_integers_of_any_size_are_kept(digits):
    assert carry([10**digits, -(10**digits)]) == [10**digits, -(10**digits)]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(1.5), 1.5),
        (np.int64(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (np.float16("nan"), math.nan),
        (ml_dtypes.bfloat16(2.5), 2.5),
        (Datatype.FP32, "FP32"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_relatives_of_plain_values_become_plain(value, plain):
    assert same(carry({"x": value}), {"x": plain})
    assert same(carry([value, "text"]), [plain, "text"])


@pytest.mark.parametrize(
    "value",
    [
        {1: "a", None: "b", 2.5: "c", False: "d", "e": 1},
        {"$": "integer", "v": "0xff"},
        {"$": {"$": [1]}},
        [{"v": 1}],
    ],
    ids=repr,
)
def test_dicts_with_any_simple_keys_are_kept(value):
    assert same(carry(value), value)


class Foo:
    pass


def nest(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Foo(), "expected null, .*, got Foo"),
        ({"a": [1, {"b": (b"", Foo())}]}, r"a\[1\]\.b\[1\]: expected null, .*, got Foo"),
        ([1, {2, 3}], r"\[1\]: expected .*, got set"),
        ({"a": {(1, 2): 3}}, "a: expected text as the name of a value, got tuple"),
        ({"a": {1: Foo()}}, "a.1: expected .*, got Foo"),
        (np.zeros(3, "i4,f4"), "expected an array of a V2 datatype, got dtype .*"),
        (np.array([1, Foo()]), r"\[1\]: expected null, .*, got Foo"),
        (nest(100_000), "a value is nested too deeply .*"),
        (nest(300), "a value cannot be sent to another process: .*"),
    ],
    ids=["object", "inside", "set", "key", "below key", "structured", "elements", "deep", "json"],
)
def test_what_has_no_form_is_named_with_its_place(value, text):
    with pytest.raises(RuntimeFailed, match=f"^{text}$"):
        pack(value)


@pytest.fixture
def without_ml_dtypes(monkeypatch):
    def forget():
        packing._to_dtype.cache_clear()
        to_dtype.cache_clear()

    yield lambda: (forget(), monkeypatch.setitem(sys.modules, "ml_dtypes", None))
    forget()


def test_bfloat16_passes_through_a_process_that_does_not_know_it(without_ml_dtypes):
    metadata, buffers = pack(np.arange(3).astype(ml_dtypes.bfloat16))
    without_ml_dtypes()
    came = unpack(metadata, bytearray(b"".join(buffers)))
    assert came.shape == (3,)
    assert came.tobytes() == b"".join(buffers)


def test_many_bytes_are_few_pieces():
    _, buffers = pack([b"a"] * 10_000)
    assert len(buffers) < 10


def test_arrays_behind_bytes_of_an_odd_length_are_aligned():
    came = carry([b"1", np.arange(4.0), b"123", np.arange(4.0)])
    assert came[1].flags.aligned
    assert came[3].flags.aligned


def test_arrays_that_came_share_no_memory():
    one, other = carry([np.zeros(3, np.uint8), np.zeros(3, np.uint8)])
    one[:] = 7
    assert not other.any()
    assert not np.shares_memory(one, other)


def test_plain_numbers_and_text_are_readable_json():
    metadata, buffers = pack({"a": [1, 2.5, "b", None, True]})
    assert orjson.loads(metadata)[0] == {"a": [1, 2.5, "b", None, True]}
    assert not buffers


@given(st.binary(max_size=50) | st.text(string.printable).map(str.encode))
def test_foreign_bytes_are_refused_with_an_expected_error(metadata):
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        unpack(b"[" + metadata + b"[0]", bytearray())


@pytest.mark.parametrize(
    "node",
    [
        {"$": "array", "v": ["<f4", [1000], 0]},
        {"$": "array", "v": ["<f4", [4], 1 << 62]},
        {"$": "array", "v": ["<f4", [-1, 4], 0]},
        {"$": "array", "v": ["O", [1], 0]},
        {"$": "bytes", "v": [10, 100]},
        {"$": "no such form", "v": 0},
        {"$": "ModelSettings", "v": {"no such field": 0}},
        {"$": "error", "v": ["no such error", {}, None, None]},
    ],
    ids=repr,
)
def test_nodes_that_do_not_fit_the_payload_are_refused(node):
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        unpack(orjson.dumps([node, []]), bytearray(64))
