"""Content type str: lists of text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.codecs import StringCodec, StringRequestCodec
from mlserver_core.errors import CodecError
from mlserver_core.types import Parameters, RequestInput, ResponseOutput


def decoded(data, *, shape=(2,), datatype="BYTES"):
    tensor = {"name": "x", "shape": shape, "datatype": datatype, "data": data}
    made = StringCodec.decode_input(RequestInput(**tensor))
    assert StringCodec.decode_output(ResponseOutput(**tensor)) == made
    return made


@pytest.mark.parametrize(
    ("shape", "data", "texts"),
    [
        ([2], ["a", "é"], ["a", "é"]),
        ([2], [b"a", "é".encode()], ["a", "é"]),
        ([2, 1], ["a", b"b"], ["a", "b"]),
        ([2, 1], [["a"], [b"b"]], ["a", "b"]),
        ([2], ["a", None], ["a", None]),
        ([1], "bare", ["bare"]),
        ([1], b"bare", ["bare"]),
        ([1], [""], [""]),
        ([0], [], []),
        ([2], np.array(["a", b"b"], object), ["a", "b"]),
        ([2, 1], np.array([["a"], ["b"]]), ["a", "b"]),
    ],
)
def test_bytes_become_a_flat_list_of_text(shape, data, texts):
    assert decoded(data, shape=shape) == texts


def test_another_datatype_is_refused_and_named():
    with pytest.raises(CodecError) as caught:
        decoded([1, 2], datatype="INT8")

    assert str(caught.value) == "tensor 'x': content type 'str' needs datatype BYTES, got INT8"


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(CodecError) as caught:
        decoded([b"a", b"\xff"])

    assert str(caught.value) == "tensor 'x', element 1: not UTF-8 text"


def test_texts_become_a_column_of_bytes():
    made = StringCodec.encode_output("y", ["a", "é"])

    assert (made.name, made.datatype, made.shape) == ("y", "BYTES", [2, 1])
    assert made.data == [b"a", "é".encode()]
    assert made.parameters == Parameters(content_type="str")


def test_texts_stay_text_when_asked():
    assert StringCodec.encode_output("y", ["a", "é"], use_bytes=False).data == ["a", "é"]


def test_an_input_is_encoded_as_an_output_is():
    made = StringCodec.encode_input("x", ["a"], use_bytes=False)

    assert made == RequestInput(
        name="x", shape=[1, 1], datatype="BYTES", data=["a"], parameters={"content_type": "str"}
    )


def test_options_of_other_codecs_are_taken_and_ignored():
    assert StringCodec.encode_output("y", ["a"], other=1).data == [b"a"]


@pytest.mark.parametrize("use_bytes", [True, False])
@pytest.mark.parametrize("payload", [[1], ["a", 0.5], [["a"]], "a", {"a": 1}, 5])
def test_what_is_no_text_is_refused_and_the_output_named(payload, use_bytes):
    with pytest.raises(CodecError, match="'y'"):
        StringCodec.encode_output("y", payload, use_bytes=use_bytes)


def test_text_that_has_no_utf_8_is_refused_and_the_output_named():
    with pytest.raises(CodecError, match="'y'"):
        StringCodec.encode_output("y", ["\ud800"])


@pytest.mark.parametrize(
    ("payload", "can"),
    [(["a"], True), ([], True), ([b"a"], False), (["a", 1], False), ("a", False), (("a",), False)],
)
def test_lists_of_text_and_nothing_else_find_this_codec(payload, can):
    assert StringCodec.can_encode(payload) is can
    assert StringRequestCodec.can_encode(payload) is can


@settings(deadline=None, max_examples=80)
@given(st.lists(st.text() | st.none()), st.booleans())
def test_any_texts_are_decoded_as_they_were_encoded(texts, use_bytes):
    request = StringRequestCodec.encode_request(texts, use_bytes=use_bytes)

    assert request.inputs[0].shape == [len(texts), 1]
    assert StringRequestCodec.decode_request(request) == texts
