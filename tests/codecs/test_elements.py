"""Content types base64, datetime and json: what they read, write and refuse."""

from datetime import datetime, timezone

import numpy as np
import pytest

from mlserver_core.codecs import Base64Codec, DatetimeCodec, JSONCodec
from mlserver_core.codecs.json import PandasJSONCodec
from mlserver_core.errors import CodecError
from mlserver_core.types import Parameters, RequestInput, ResponseOutput

UTC = timezone.utc


def tensor(*elements, **fields):
    values = {"name": "x", "shape": [len(elements)], "datatype": "BYTES", "data": list(elements)}
    return RequestInput(**values | fields)


def refusal(call, *arguments):
    with pytest.raises(CodecError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("codec", "payload", "text"),
    [
        (Base64Codec, [b"\xff\x00"], "/wA="),
        (Base64Codec, ["é"], "w6k="),
        (DatetimeCodec, [datetime(2026, 1, 31, 12, tzinfo=UTC)], "2026-01-31T12:00:00+00:00"),
        (DatetimeCodec, ["2026-01-31"], "2026-01-31"),
        (JSONCodec, [{"a": [1, None]}], '{"a":[1,null]}'),
        (JSONCodec, [{"a": np.arange(2), "b": np.float32(0.5)}], '{"a":[0,1],"b":0.5}'),
        (PandasJSONCodec, [[1, "é"]], '[1,"é"]'),
        (JSONCodec, [None], "null"),
    ],
)
def test_each_value_is_written_as_text(codec, payload, text):
    made = codec.encode_output("y", payload)
    assert made.shape == [1, 1]
    assert made.datatype == "BYTES"
    assert made.parameters == Parameters(content_type=codec.ContentType)
    assert made.data == [text.encode()]
    assert codec.encode_input("y", payload, use_bytes=False).data == [text]


@pytest.mark.parametrize(
    ("codec", "text", "value"),
    [
        (Base64Codec, "/wA=", b"\xff\x00"),
        (Base64Codec, "", b""),
        (DatetimeCodec, "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        (DatetimeCodec, "2026-01-31T12:00:00.5", datetime(2026, 1, 31, 12, 0, 0, 500_000)),  # noqa: DTZ001
        (DatetimeCodec, "2026-01-31", datetime(2026, 1, 31)),  # noqa: DTZ001
        (DatetimeCodec, "", None),
        (JSONCodec, "[1, 2.5]", [1, 2.5]),
    ],
)
def test_each_text_is_read(codec, text, value):
    assert codec.decode_input(tensor(text)) == [value]
    assert codec.decode_input(tensor(text.encode())) == [value]
    assert codec.decode_input(tensor(None)) == [None]
    output = ResponseOutput(name="x", shape=[1], datatype="BYTES", data=[text])
    assert codec.decode_output(output) == [value]


# Fault W11 of MLServer: what cannot be decoded came back as it was, or as nothing


@pytest.mark.parametrize("text", ["not base64!", "/wA", "a-b_", "/wA=\n"])
def test_invalid_base64_is_refused_with_its_tensor_and_element(text):
    assert "tensor 'x', element 1: not valid base64" in refusal(
        Base64Codec.decode_input, tensor("", text)
    )


@pytest.mark.parametrize(
    ("codec", "payload", "expected"),
    [
        (Base64Codec, [b"", 5], "output 'y', element 1: expected bytes, got int"),
        (DatetimeCodec, [5], "output 'y', element 0: expected a datetime, got int"),
        (DatetimeCodec, ["noon"], "output 'y', element 0: expected a time as ISO 8601"),
        (JSONCodec, [object()], "output 'y', element 0: object has no JSON form"),
        (JSONCodec, [2**70], "output 'y', element 0: int has no JSON form"),
        (Base64Codec, b"abc", "content type 'base64' encodes a list, got bytes"),
        (JSONCodec, {"a": 1}, "content type 'json' encodes a list, got dict"),
    ],
)
def test_values_of_another_type_are_refused_with_their_place(codec, payload, expected):
    assert expected in refusal(codec.encode_output, "y", payload)


@pytest.mark.parametrize(
    ("codec", "element", "expected"),
    [
        (DatetimeCodec, "noon", "tensor 'x', element 0: expected a time as ISO 8601"),
        (DatetimeCodec, "2026-01-31T12:00:00.123456789Z", "a datetime holds microseconds"),
        (JSONCodec, "{", "tensor 'x', element 0: not valid JSON"),
        (JSONCodec, "", "tensor 'x', element 0: not valid JSON"),
        (JSONCodec, b"\xff", "tensor 'x', element 0: not UTF-8 text"),
    ],
)
def test_texts_that_cannot_be_read_are_refused_with_their_place(codec, element, expected):
    assert expected in refusal(codec.decode_input, tensor(element))


@pytest.mark.parametrize("codec", [Base64Codec, DatetimeCodec, JSONCodec])
def test_another_datatype_is_refused(codec):
    numbers = tensor(1, datatype="INT8")
    assert "needs datatype BYTES, got INT8" in refusal(codec.decode_input, numbers)


@pytest.mark.parametrize(
    ("codec", "payload", "can"),
    [
        (Base64Codec, [b"a"], True),
        (Base64Codec, ["a"], False),
        (DatetimeCodec, [datetime(2026, 1, 31, tzinfo=UTC)], True),
        (DatetimeCodec, ["2026-01-31"], False),
        (DatetimeCodec, "2026-01-31", False),
        (JSONCodec, [{"a": 1}], True),
        (JSONCodec, [1], False),
        (JSONCodec, {"a": 1}, False),
        (PandasJSONCodec, [{"a": 1}], False),
    ],
)
def test_which_payloads_find_a_codec(codec, payload, can):
    assert codec.can_encode(payload) is can
