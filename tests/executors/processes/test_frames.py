"""Headers say what follows, and what is no header is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserver_core.executors.processes.frames import (
    HEADER_SIZE,
    BrokenFrame,
    Header,
    Kind,
    decode_header,
    encode_header,
)

HEADERS = st.builds(
    Header,
    kind=st.sampled_from(Kind),
    call=st.integers(0, 2**64 - 1),
    metadata=st.integers(0, 2**31),
    payload=st.integers(0, 2**31),
    shared=st.booleans(),
)


@given(HEADERS, st.binary(max_size=5))
def test_headers_come_out_equal_at_any_offset(header, before):
    data = encode_header(header)
    assert len(data) == HEADER_SIZE
    assert decode_header(before + data, len(before)) == header


def test_inline_is_what_the_socket_brings():
    assert Header(kind=Kind.ITEM, call=1, metadata=3, payload=4, shared=False).inline == 7
    assert Header(kind=Kind.ITEM, call=1, metadata=3, payload=4, shared=True).inline == 0


@pytest.mark.parametrize("payload", [1 << 33, 1 << 50])
def test_frames_too_large_for_the_socket_are_refused(payload):
    with pytest.raises(OverflowError):
        encode_header(Header(kind=Kind.ITEM, call=1, metadata=1, payload=payload, shared=False))


GOOD = bytearray(
    encode_header(Header(kind=Kind.RESULT, call=1, metadata=2, payload=0, shared=False))
)


@pytest.mark.parametrize(
    ("offset", "value", "text"),
    [
        (0, 0, "expected the header of a frame"),
        (2, 0, "expected a kind of frame, got 0"),
        (2, 99, "expected a kind of frame, got 99"),
        (3, 2, "expected the header of a frame"),
        (20, 1, "no frame has"),
        (28, 2, "no frame has"),
    ],
)
def test_what_is_no_header_is_refused(offset, value, text):
    data = GOOD.copy()
    data[offset] = value
    with pytest.raises(BrokenFrame, match=text):
        decode_header(data, 0)
