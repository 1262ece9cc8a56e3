"""Content type pd: DataFrames."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.codecs import PandasCodec
from mlserver_core.errors import CodecError
from mlserver_core.types import InferenceRequest, InferenceResponse, Parameters

FRAME = pd.DataFrame(
    {
        "count": [1, 2],
        "share": [0.5, np.nan],
        "flag": [True, False],
        "text": ["a", "é"],
        "small": np.array([1, 2], np.int8),
    }
)


class Frame(pd.DataFrame):
    """A DataFrame as libraries on top of pandas have them."""


def column(name="a", **values):
    return {"name": name, "shape": [2], "datatype": "INT64", "data": [1, 2]} | values


def decoded(*columns):
    made = PandasCodec.decode_request(InferenceRequest(inputs=columns))
    pd.testing.assert_frame_equal(
        PandasCodec.decode_response(InferenceResponse(outputs=columns)), made
    )
    return made


def refusal(*columns):
    with pytest.raises(CodecError) as caught:
        PandasCodec.decode_request(InferenceRequest(inputs=columns))
    return str(caught.value)


def test_each_column_is_a_tensor():
    made = PandasCodec.encode_response("m", FRAME, "v1")

    assert (made.model_name, made.model_version) == ("m", "v1")
    assert made.parameters == Parameters(content_type="pd")
    assert [(each.name, each.datatype, each.shape) for each in made.outputs] == [
        ("count", "INT64", [2, 1]),
        ("share", "FP64", [2, 1]),
        ("flag", "BOOL", [2, 1]),
        ("text", "BYTES", [2, 1]),
        ("small", "INT8", [2, 1]),
    ]
    assert made.outputs[3].data == [b"a", "é".encode()]


def test_a_frame_is_decoded_as_it_was_encoded():
    request = PandasCodec.encode_request(FRAME)
    response = PandasCodec.encode_response("m", FRAME)

    assert request.parameters == Parameters(content_type="pd")
    pd.testing.assert_frame_equal(PandasCodec.decode_request(request), FRAME)
    pd.testing.assert_frame_equal(PandasCodec.decode_response(response), FRAME)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_text_is_sent_as_null(missing):
    frame = pd.DataFrame({"text": ["a", missing]})

    made = PandasCodec.encode_request(frame)

    assert made.inputs[0].data == [b"a", None]
    assert PandasCodec.decode_request(made)["text"].isna().tolist() == [False, True]


def test_columns_whose_names_are_no_text_are_named_by_it():
    assert [each.name for each in PandasCodec.encode_outputs(pd.DataFrame({0: [1]}))] == ["0"]


def test_text_that_came_as_bytes_is_text_in_the_frame():
    made = decoded(column(datatype="BYTES", data=[b"a", "é".encode()]))

    assert made["a"].tolist() == ["a", "é"]


@pytest.mark.parametrize("shape", [[2], [2, 1], [2, 1, 1]])
def test_a_column_has_one_element_per_row(shape):
    assert decoded(column(shape=shape))["a"].tolist() == [1, 2]


@pytest.mark.parametrize("shape", [[0], [0, 1]])
def test_a_frame_may_have_no_rows(shape):
    made = decoded(column(shape=shape, data=[]))

    assert list(made.columns) == ["a"]
    assert len(made) == 0


def test_a_frame_may_have_no_columns():
    assert decoded().empty
    assert PandasCodec.encode_request(pd.DataFrame()).inputs == []


@pytest.mark.parametrize("datatype", ["INT64", "BYTES"])
def test_a_tensor_of_several_columns_is_refused_and_named(datatype):
    data = {"INT64": [1, 2], "BYTES": ["a", "b"]}[datatype]

    assert refusal(column(datatype=datatype, shape=[1, 2], data=data)) == (
        "tensor 'a': a column has shape [N] or [N, 1], got [1, 2]"
    )


def test_columns_of_different_lengths_are_refused_and_named():
    assert refusal(column("a"), column("b", shape=[1], data=[1])) == (
        "the columns have different lengths: {'a': 2, 'b': 1}"
    )


def test_two_columns_of_one_name_are_refused():
    assert "'a'" in refusal(column("a"), column("a", data=[3, 4]))
    with pytest.raises(CodecError, match="'a'"):
        PandasCodec.encode_outputs(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize("values", [[1j], [b"a", "b"], [object()], pd.interval_range(0, 1)])
def test_a_column_without_datatype_is_refused_and_named(values):
    with pytest.raises(CodecError, match="'when'"):
        PandasCodec.encode_outputs(pd.DataFrame({"when": values}))


def test_frames_and_nothing_else_find_this_codec():
    assert PandasCodec.can_encode(FRAME)
    assert PandasCodec.can_encode(Frame())
    assert not PandasCodec.can_encode(FRAME["count"])
    assert not PandasCodec.can_encode({"a": [1]})
    assert not PandasCodec.can_encode(np.zeros(1))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.text()),
        min_size=1,
        max_size=5,
    )
)
def test_any_frame_is_decoded_as_it_was_encoded(rows):
    frame = pd.DataFrame(rows, columns=["int", "float", "bool", "text"])

    made = PandasCodec.decode_request(PandasCodec.encode_request(frame))

    pd.testing.assert_frame_equal(made, frame)
