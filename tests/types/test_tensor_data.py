"""TensorData behaves as the list that MLServer's runtimes expect."""

import copy
import pickle

import ml_dtypes
import numpy as np
import pytest

from mlserver_core.types import TensorData

MATRIX = np.arange(6, dtype=np.float64).reshape(2, 3)


def test_length_is_that_of_the_first_dimension():
    assert len(TensorData(MATRIX)) == 2
    assert len(TensorData(["a", "b", "c"])) == 3


@pytest.mark.parametrize("root", [[], np.empty(0), np.empty((0, 3))])
def test_no_elements_are_false(root):
    assert not TensorData(root)


@pytest.mark.parametrize("root", [[0], ["", ""], np.zeros(1), np.zeros(2), MATRIX])
def test_any_elements_are_true(root):
    assert TensorData(root)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (np.int8, int),
        (np.uint64, int),
        (np.float16, float),
        (np.float32, float),
        (np.bool_, bool),
        (ml_dtypes.bfloat16, float),
    ],
)
def test_iteration_and_indexing_give_python_values(dtype, kind):
    data = TensorData(np.array([1, 0, 1], dtype))

    assert list(data) == [1, 0, 1]
    assert [type(value) for value in data] == [kind] * 3
    assert type(data[0]) is kind
    assert data[-1] == 1


def test_rows_and_slices_are_lists():
    data = TensorData(MATRIX)

    assert list(data) == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert data[1] == [3.0, 4.0, 5.0]
    assert type(data[1]) is list
    assert data[0:1] == [[0.0, 1.0, 2.0]]
    assert data[1][2] == 5.0
    assert data[1, 2] == 5.0


def test_text_iterates_and_indexes_as_a_list():
    data = TensorData(["a", b"b", None])

    assert list(data) == ["a", b"b", None]
    assert data[1] == b"b"
    assert data[1:] == [b"b", None]


def test_an_index_beyond_the_end_is_an_index_error():
    with pytest.raises(IndexError):
        TensorData([1])[1]
    with pytest.raises(IndexError):
        TensorData(np.zeros(1))[1]


def test_membership_and_reversal_work_as_in_a_list():
    data = TensorData(np.array([1, 2, 3]))

    assert 2 in data
    assert 9 not in data
    assert list(reversed(data)) == [3, 2, 1]


@pytest.mark.parametrize(
    "other",
    [
        [[0, 1, 2], [3, 4, 5]],
        MATRIX.copy(),
        TensorData(MATRIX.copy()),
        TensorData(MATRIX.tolist()),
    ],
)
def test_equal_to_lists_arrays_and_tensor_data_of_the_same_elements(other):
    assert TensorData(MATRIX) == other
    assert (TensorData(MATRIX) != other) is False


@pytest.mark.parametrize("other", [MATRIX + 1, MATRIX.T, MATRIX.reshape(-1), [1], [[1], [2, 3]], 5])
def test_unequal_to_other_elements_or_shapes(other):
    assert TensorData(MATRIX) != other


def test_text_equals_lists_and_arrays_of_text():
    assert TensorData(["a", "b"]) == ["a", "b"]
    assert TensorData(["a", "b"]) == np.array(["a", "b"])
    assert TensorData(["a", "b"]) != ["a"]
    assert TensorData(["a"]) != [b"a"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_nan_equals_nan_so_that_a_copy_is_equal(dtype):
    data = TensorData(np.array([1, np.nan], dtype))

    assert data == copy.deepcopy(data)
    assert data == pickle.loads(pickle.dumps(data))


def test_unhashable_as_a_list_is():
    with pytest.raises(TypeError, match="unhashable"):
        hash(TensorData([1]))


def test_asarray_shares_the_memory():
    assert np.asarray(TensorData(MATRIX)) is MATRIX
    assert np.shares_memory(np.asarray(TensorData(MATRIX)), MATRIX)


def test_array_copies_and_converts_as_numpy_says():
    data = TensorData(MATRIX)

    copied = np.array(data)
    converted = np.asarray(data, dtype=np.float32)

    assert not np.shares_memory(copied, MATRIX)
    assert copied.tolist() == MATRIX.tolist()
    assert converted.dtype == np.float32
    assert converted.tolist() == MATRIX.tolist()


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="numpy 1 just copies")
def test_a_copy_that_cannot_be_avoided_is_an_error_where_none_is_allowed():
    data = TensorData(MATRIX)

    assert np.shares_memory(data.__array__(copy=False), MATRIX)
    with pytest.raises(ValueError):
        data.__array__(np.float32, copy=False)


def test_lists_become_arrays():
    assert np.asarray(TensorData([1, 2])).tolist() == [1, 2]
    assert np.asarray(TensorData(["a"])).dtype.kind == "U"


def test_from_plain_takes_anything_as_it_is_and_wraps_once():
    root = {"any": "thing"}
    data = TensorData.from_plain(root)

    assert data.root is root
    assert TensorData.from_plain(data) is data


def test_to_plain_is_the_root_and_to_lists_has_no_arrays():
    assert TensorData(MATRIX).to_plain() is MATRIX
    assert TensorData(MATRIX).to_lists() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert TensorData(["a"]).to_lists() == ["a"]


def test_root_can_be_replaced():
    data = TensorData([1])
    data.root = [2]

    assert data == [2]
