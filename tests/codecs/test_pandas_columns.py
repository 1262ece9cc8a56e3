"""Columns of a DataFrame keep their dtype and values over every wire."""

import json
from datetime import timedelta, tzinfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core import MLModel, ModelSettings
from mlserver_core.codecs import PandasCodec
from mlserver_core.errors import CodecError
from mlserver_core.types import InferenceRequest, RequestInput

BIG = 2**53 + 1
WIDTHS = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]


def objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return pd.Series(array, dtype=object)


def times(*texts, dtype, zone=None):
    made = pd.Series(np.array(texts, dtype="M8[ns]")).astype(dtype)
    return made.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else made


NUMERIC = {
    **{dtype: pd.Series(np.array([0, 1, 100], dtype)) for dtype in WIDTHS},
    **{
        dtype: pd.Series(np.array([0.5, np.nan, -1], dtype))
        for dtype in ("float16", "float32", "float64")
    },
    "bool": pd.Series([True, False]),
    "Int64": pd.Series([1, None, BIG], dtype="Int64"),
    "Int8": pd.Series([1, None], dtype="Int8"),
    "UInt64": pd.Series([2**64 - 1, None], dtype="UInt64"),
    "Int32 without a missing one": pd.Series([1, 2], dtype="Int32"),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "boolean without a missing one": pd.Series([True, False], dtype="boolean"),
    "Float64": pd.Series([0.5, None], dtype="Float64"),
    "Float32": pd.Series([0.5, None], dtype="Float32"),
}
TEXT = {
    "text": pd.Series(["a", "é", ""]),
    "text with None": pd.Series(["a", None, ""]),
    "text of objects": objects("a", "", "é"),
    "None, NaN, NA and NaT": objects("a", None, np.nan, pd.NA, pd.NaT, ""),
    "nothing but None": objects(None, None),
    "string": pd.Series(["a", None, ""], dtype="string"),
    "bytes": objects(b"\xff\x00", b"", b"a"),
    "bytes with None": objects(b"\xff", None, b""),
    "dicts": objects({"a": [1, None]}, {}, {"b": {"c": 1.5}}),
    "lists": objects([1], [], ["a", "b"]),
    "dicts with None": objects({"a": 1}, None),
    "numbers and text": objects(1, "a", 2.5, True, None),
    "integers of objects": objects(1, BIG),
}
TIMES = {
    f"{unit} {zone}": times("2020-02-29T12:34:56", "NaT", dtype=f"M8[{unit}]", zone=zone)
    for unit in ("s", "ms", "us", "ns")
    for zone in (None, "UTC", "Europe/Berlin")
} | {
    "nanoseconds": times("2020-02-29T12:34:56.123456789", "NaT", dtype="M8[ns]"),
    "nanoseconds in a zone": times(
        "2020-02-29T12:34:56.123456789", dtype="M8[ns]", zone="Asia/Tokyo"
    ),
    "no zone by name": times("2020-02-29T12:34:56", dtype="M8[us]", zone="UTC+02:00"),
    "nothing but NaT": times("NaT", "NaT", dtype="M8[ns]"),
    "far years": pd.Series(np.array(["0001-01-01", "9999-12-31", "12000-01-01"], "M8[s]")),
    "timedelta": pd.Series(np.array([1, -5, "NaT"], "m8[ns]")),
    "timedelta of seconds": pd.Series(np.array([1, -5, "NaT"], "m8[s]")),
}
CATEGORICAL = {
    "categories": pd.Series(pd.Categorical(["a", "b", "a"], categories=["b", "a", "unused"])),
    "ordered": pd.Series(pd.Categorical(["a", None], categories=["b", "a"], ordered=True)),
    "of integers": pd.Series(pd.Categorical([2, 1], categories=[1, 2, 3])),
    "of integers with None": pd.Series(pd.Categorical([BIG, None], categories=[1, BIG])),
    "of floats": pd.Series(pd.Categorical([0.5, None], categories=[0.5, 1.5])),
    "of booleans": pd.Series(pd.Categorical([True, None], categories=[False, True])),
    "of times": pd.Series(pd.Categorical(pd.to_datetime(["2020-01-01", None]))),
    "of nothing": pd.Series(pd.Categorical([None], categories=["a"])),
    "of objects": pd.Series(
        pd.Categorical(["a", None], categories=pd.Index(["a", "b"], dtype=object))
    ),
}
COLUMNS = NUMERIC | TEXT | TIMES | CATEGORICAL


def carried(wire, frame):
    return PandasCodec.decode_request(wire(PandasCodec.encode_request(frame)))


def through_a_model(wire, frame):
    """As a server does: each input by its content type, then the request."""
    model = MLModel(ModelSettings(name="m", implementation=MLModel))
    return model.decode_request(wire(PandasCodec.encode_request(frame)))


def column(**fields):
    values = {"name": "a", "shape": [1], "datatype": "BYTES", "data": ["a"]} | fields
    return PandasCodec.decode_request(InferenceRequest(inputs=[values]))["a"]


def same_missing(made, sent):
    """None, NaN, NA and NaT each where they were: pandas takes them for equal."""
    return [type(each) for each in made[made.isna()]] == [type(each) for each in sent[sent.isna()]]


# Fault W12 of MLServer: nulls, datetime64, categorical and nullable integers failed


@pytest.mark.parametrize("decode", [carried, through_a_model])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_keeps_its_dtype_and_values(wire, decode, name):
    frame = pd.DataFrame({"a": COLUMNS[name]})

    made = decode(wire, frame)

    pd.testing.assert_frame_equal(made, frame)
    if frame["a"].dtype == object:
        assert same_missing(made["a"], frame["a"])


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_without_rows_keeps_its_dtype(wire, name):
    frame = pd.DataFrame({"a": COLUMNS[name]})[:0]
    pd.testing.assert_frame_equal(carried(wire, frame), frame)


def test_all_columns_at_once(wire):
    frame = pd.DataFrame({name: COLUMNS[name].reindex(range(2)) for name in TIMES | CATEGORICAL})
    pd.testing.assert_frame_equal(through_a_model(wire, frame), frame)


VALUES = {
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "UInt64": st.none() | st.integers(0, 2**64 - 1),
    "boolean": st.none() | st.booleans(),
    "Float64": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "string": st.none() | st.text(),
    "object": st.none() | st.just(np.nan) | st.just(pd.NA) | st.text(),
    "datetime64[ns]": st.none() | st.integers(-(2**62), 2**62),
    "datetime64[us, Europe/Berlin]": st.none() | st.integers(0, 2**52),
    "timedelta64[ns]": st.none() | st.integers(-(2**62), 2**62),
}


@st.composite
def frames(draw):
    rows = draw(st.integers(0, 4))
    columns = {}
    for dtype, values in VALUES.items():
        drawn = draw(st.lists(values, min_size=rows, max_size=rows))
        if "64[" in dtype:
            unit = dtype[dtype.index("[") + 1 :][:2]
            kind = "m8" if dtype.startswith("t") else "M8"
            numbers = [-(2**63) if each is None else each for each in drawn]
            series = pd.Series(np.array(numbers, "i8").view(f"{kind}[{unit}]"))
            zoned = "," in dtype
            columns[dtype] = series.dt.tz_localize("UTC").astype(dtype) if zoned else series
        else:
            columns[dtype] = pd.Series(pd.array(drawn, dtype=dtype))
    texts = draw(st.lists(st.sampled_from(["a", "b", None]), min_size=rows, max_size=rows))
    columns["category"] = pd.Series(pd.Categorical(texts, categories=["b", "a", "c"]))
    return pd.DataFrame(columns)


@settings(deadline=None, max_examples=40)
@given(frame=frames())
def test_any_frame(wire, frame):
    made = through_a_model(wire, frame)
    pd.testing.assert_frame_equal(made, frame)
    assert same_missing(made["object"], frame["object"])


# What MLServer's columns look like


def test_numbers_and_text_are_sent_as_mlserver_does():
    frame = pd.DataFrame({"n": [1, 2], "s": ["a", "b"], "o": [{"a": 1}, [1]]})
    numbers, text, mixed = PandasCodec.encode_request(frame, use_bytes=False).inputs

    assert numbers.parameters is None
    assert text.parameters.content_type == "str"
    assert text.data == ["a", "b"]
    assert mixed.parameters.content_type == "pd_json"
    assert mixed.data == ['{"a":1}', "[1]"]


def test_columns_without_our_parameters_are_read_as_mlserver_does():
    assert column(parameters={"content_type": "pd_json"}, data=['{"a":1}']).tolist() == [{"a": 1}]
    assert column(parameters={"content_type": "base64"}, data=["/wA="]).tolist() == [b"\xff\x00"]
    day = column(parameters={"content_type": "datetime"}, data=["2020-01-01T00:00:00"])
    assert day.tolist() == [pd.Timestamp("2020-01-01")]
    assert column(parameters={"content_type": "of-a-model"}).tolist() == ["a"]


def test_times_of_another_client_may_have_any_offset():
    parameters = {"pd_dtype": "datetime64[us, UTC]"}
    made = column(parameters=parameters, shape=[2], data=["2020-01-01T02:00:00+02:00", None])
    assert made[0] == pd.Timestamp("2020-01-01", tz="UTC")
    assert made[1] is pd.NaT


def test_an_input_that_a_codec_of_its_own_decoded_is_taken_as_it_is():
    tensor = {"name": "a", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    request = InferenceRequest(inputs=[tensor], parameters={"content_type": "pd"})
    model = MLModel(ModelSettings(name="m", implementation=MLModel))
    with pytest.raises(CodecError, match=r"a column has shape \[N\] or \[N, 1\]"):
        model.decode_request(request)


@pytest.mark.parametrize("content_type", [None, "np"])
def test_a_tensor_of_two_columns_is_refused_however_it_is_decoded(content_type):
    tensor = {"name": "a", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    request = InferenceRequest(
        inputs=[tensor | {"parameters": {"content_type": content_type}}],
        parameters={"content_type": "pd"},
    )
    model = MLModel(ModelSettings(name="m", implementation=MLModel))
    with pytest.raises(CodecError, match=r"tensor 'a': a column has shape .* got \[2, 2\]"):
        model.decode_request(request)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"pd_dtype": "period[D]"}, "'period[D]': expected category, object"),
        ({"pd_dtype": 5}, "pandas dtype 5"),
        ({"pd_dtype": "datetime64[ns]"}, "pandas dtype 'datetime64[ns]'"),
        ({"pd_dtype": "datetime64[ns, Nowhere]"}, "pandas dtype"),
        ({"pd_dtype": "Int64"}, "pandas dtype 'Int64'"),
        ({"pd_dtype": "timedelta64[ns]"}, "pandas dtype 'timedelta64[ns]'"),
        ({"pd_missing": "no"}, "in pd_missing"),
        ({"pd_missing": '{"None": [7]}'}, "in pd_missing"),
        ({"pd_missing": '{"None": [-1]}'}, "in pd_missing"),
        ({"pd_missing": '{"Nil": [0]}'}, "in pd_missing"),
        ({"pd_missing": 5}, "in pd_missing"),
        ({"pd_dtype": "category"}, "pd_categories"),
        ({"pd_dtype": "category", "pd_categories": "{"}, "pd_categories"),
        ({"pd_dtype": "category", "pd_categories": "{}"}, "pd_categories"),
    ],
)
def test_parameters_that_say_nothing_sensible_are_refused_and_the_tensor_named(
    parameters, expected
):
    with pytest.raises(CodecError) as caught:
        column(parameters=parameters)
    assert "'a'" in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        (["b"], "holds a value that is not in pd_categories"),
        (["a", "a"], "pd_categories"),
    ],
)
def test_categories_that_do_not_fit_are_refused(categories, expected):
    tensor = {"name": "c", "shape": [len(categories)], "datatype": "BYTES", "data": categories}
    with pytest.raises(CodecError, match=expected):
        column(parameters={"pd_dtype": "category", "pd_categories": json.dumps(tensor)})


def test_a_zone_without_a_name_is_refused_with_what_to_do():
    class Zone(tzinfo):
        def utcoffset(self, _):
            return timedelta(0)

        def dst(self, _):
            return None

        def tzname(self, _):
            return "mine"

    frame = pd.DataFrame({"a": pd.Series(["2020-01-01"]).astype("M8[us]").dt.tz_localize(Zone())})
    with pytest.raises(CodecError, match=r"'a': the time zone .* use tz_convert"):
        PandasCodec.encode_request(frame)


@pytest.mark.parametrize(
    ("dtype", "datatype", "data"),
    [
        ("datetime64[ns]", "BYTES", ["1500-01-01"]),
        ("datetime64[ns, UTC]", "BYTES", ["1500-01-01T00:00:00+00:00"]),
        ("datetime64[s]", "BYTES", ["2024-01-01T00:00:00.123456"]),
        ("timedelta64[s]", "FP64", [1.7]),
        ("timedelta64[s]", "UINT64", [2**64 - 1]),
    ],
)
def test_a_time_that_its_dtype_cannot_hold_is_refused(dtype, datatype, data):
    tensor = RequestInput(
        name="t", shape=[1, 1], datatype=datatype, data=data, parameters={"pd_dtype": dtype}
    )
    with pytest.raises(CodecError, match="cannot be read as the pandas dtype"):
        PandasCodec.decode_request(InferenceRequest(inputs=[tensor]))
