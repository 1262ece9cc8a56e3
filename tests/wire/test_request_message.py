"""Raw contents that are taken out of a message before it is parsed."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.grpc.messages import load_messages
from mlserver_core.types import Datatype
from mlserver_core.wire.raw import decode_raw
from mlserver_core.wire.request_message import RequestReader, _find_raw

ModelInferRequest = load_messages().get("inference.ModelInferRequest")
READER = RequestReader(ModelInferRequest)
LARGE = 2**16


def request(*buffers):
    message = ModelInferRequest(model_name="m", id="1")
    message.parameters["a"].string_param = "b"
    for number, _ in enumerate(buffers):
        message.inputs.add(name=f"x{number}", datatype="UINT8").shape.append(1)
    message.raw_input_contents.extend(buffers)
    return message


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300) | st.just(b"a" * 20_000), max_size=5), st.booleans())
def test_what_is_found_is_what_protobuf_finds(buffers, large):
    message = request(*buffers, *([bytes(LARGE)] if large else []))
    read = READER.FromString(message.SerializeToString())
    assert [bytes(each) for each in read.raw] == list(message.raw_input_contents)
    read.message.raw_input_contents[:] = [bytes(each) for each in read.raw]
    assert read.message == message


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_what_is_no_message_is_left_to_protobuf(data):
    found = _find_raw(memoryview(data))
    if found is not None:
        rest, raw = found
        try:
            expected = ModelInferRequest.FromString(data)
        except DecodeError:
            with pytest.raises(DecodeError):
                ModelInferRequest.FromString(rest)
        else:
            assert [bytes(each) for each in raw] == list(expected.raw_input_contents)


def test_fields_in_any_order_are_found():
    first, last = ModelInferRequest(raw_input_contents=[b"a" * LARGE]), request()
    data = first.SerializeToString() + last.SerializeToString()
    read = READER.FromString(data + ModelInferRequest(raw_input_contents=[b""]).SerializeToString())
    assert list(map(len, read.raw)) == [LARGE, 0]
    assert read.message == last


@pytest.mark.parametrize("cut", [1, 100, LARGE])
def test_a_large_message_that_is_cut_off_is_refused(cut):
    with pytest.raises(DecodeError):
        READER.FromString(request(bytes(LARGE)).SerializeToString()[:-cut])


def test_a_message_of_very_many_fields_is_not_looked_through():
    data = ModelInferRequest(raw_input_contents=[b""] * LARGE).SerializeToString()
    assert _find_raw(memoryview(data)) is None
    assert len(READER.FromString(data).raw) == LARGE


def test_the_one_large_tensor_of_a_message_is_its_memory():
    data = bytearray(request(np.arange(LARGE, dtype=np.uint8).tobytes()).SerializeToString())
    (buffer,) = READER.FromString(data).raw
    array = decode_raw("x", Datatype.UINT8, [LARGE], buffer)
    array[0] = 77
    assert bytes(data[-LARGE:])[0] == 77


def test_a_small_tensor_keeps_no_message_and_can_be_written_to():
    data = bytearray(request(b"abcd", bytes(LARGE)).SerializeToString())
    small, _ = READER.FromString(data).raw
    array = decode_raw("x", Datatype.UINT8, [4], small)
    array[:] = 0
    assert b"abcd" in data
    assert array.base is None
