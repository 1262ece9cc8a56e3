from __future__ import annotations

import h2.config
import h2.connection
import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.grpc.header_blocks import (
    BlockDecoder,
    BlockEncoder,
    CheckedHeaders,
    remember_blocks,
)

#: Few names and values, so that they come again; some as long as a table can hold or not.
NAMES = st.sampled_from([b":status", b"content-type", b"ce-id", b"x", b"y" * 200, b"cookie"])
VALUES = st.sampled_from([b"200", b"a", b"b", b"c" * 126, b"d" * 127, b"e" * 300, b"f" * 5000])
BLOCKS = st.lists(
    st.tuples(
        st.lists(st.tuples(NAMES, VALUES), max_size=6),
        st.none() | st.sampled_from([0, 100, 1000, 4096]),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(BLOCKS)
def test_any_client_reads_what_is_encoded(blocks):
    encoder, decoder = BlockEncoder(), hpack.Decoder(10**6)
    for headers, size in blocks:
        if size is not None:  # the client's SETTINGS_HEADER_TABLE_SIZE
            encoder.header_table_size = size
            decoder.max_allowed_table_size = size
        assert [tuple(each) for each in decoder.decode(encoder.encode(headers), raw=True)] == (
            headers
        )


@settings(deadline=None)
@given(BLOCKS)
def test_what_any_client_encodes_is_read(blocks):
    encoder, decoder, own = hpack.Encoder(), BlockDecoder(10**6), hpack.Decoder(10**6)
    for headers, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        secret = [(name, value, name == b"cookie") for name, value in headers]
        block = encoder.encode(secret)
        read, expected = decoder.decode(block, raw=True), own.decode(block, raw=True)
        assert read == expected
        assert [type(each) for each in read] == [type(each) for each in expected]


def test_what_comes_again_takes_a_byte_and_what_differs_leaves_the_table_alone():
    encoder = BlockEncoder()
    sizes = [
        len(encoder.encode([("ce-source", "a" * 40), ("ce-id", f"{number:036}")]))
        for number in range(9)
    ]
    assert sizes[2:] == [sizes[2]] * 7
    assert sizes[2] < sizes[0] - 40
    assert [name for name, _ in encoder.header_table.dynamic_entries] == [b"ce-source"]


def test_a_secret_is_in_no_table():
    encoder, decoder = BlockEncoder(), hpack.Decoder()
    for _ in range(3):
        (header,) = decoder.decode(encoder.encode([("set-cookie", "a")]), raw=True)
        assert isinstance(header, hpack.NeverIndexedHeaderTuple)
    assert not encoder.header_table.dynamic_entries


def test_a_secret_is_in_no_table_either_when_the_client_has_changed_its_size():
    encoder, decoder = BlockEncoder(), hpack.Decoder()
    encoder.header_table_size = decoder.max_allowed_table_size = 1000
    headers = decoder.decode(encoder.encode([("set-cookie", "a"), ("x", "b")]), raw=True)
    assert [tuple(each) for each in headers] == [(b"set-cookie", b"a"), (b"x", b"b")]
    assert not encoder.header_table.dynamic_entries


def test_names_that_never_end_are_not_kept():
    encoder = BlockEncoder()
    for number in range(1000):
        encoder.encode([(f"x-{number}", "a")])
    assert len(encoder._last) <= 64


def test_blocks_that_never_end_are_not_kept():
    decoder = BlockDecoder(2**16)
    for number in range(1000):
        value = str(number).encode()
        decoder.decode(b"\x00\x01x" + bytes([len(value)]) + value, raw=True)
    assert 0 < len(decoder._known) <= 64
    long = b"\x00\x01x\x7f\xff\x0f" + b"a" * (0x7F + 0x7F + 128 * 15)
    decoder.decode(long, raw=True)
    assert long not in decoder._known


def test_a_list_that_is_too_long_is_refused_the_second_time_too():
    decoder = BlockDecoder(100)
    for _ in range(2):
        with pytest.raises(hpack.OversizedHeaderListError):
            decoder.decode(b"\x82" * 10, raw=True)


def test_headers_are_checked_once_and_a_failure_every_time():
    asked = []

    def check(headers, flags, encoding):
        asked.append(flags)
        if flags == "bad":
            raise ValueError("bad headers")
        return [(name.decode(), value.decode()) for name, value in headers]

    checked = CheckedHeaders(check)
    for _ in range(2):
        assert checked([(b"a", b"b")], "request", "latin-1") == [("a", "b")]
        assert checked([(b"a", b"b")], "trailers", "latin-1") == [("a", "b")]
        with pytest.raises(ValueError, match="bad headers"):
            checked([(b"a", b"b")], "bad", "latin-1")
    assert asked == ["request", "trailers", "bad", "bad"]
    for number in range(1000):
        checked([(b"a", str(number).encode())], "request", "latin-1")
    assert len(checked._known) <= 64


def test_an_hpack_that_is_built_in_another_way_keeps_its_tables():
    made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    own = made.encoder, made.decoder
    del made.encoder.header_table, made.decoder.header_table
    remember_blocks(made, 2**16)
    assert (made.encoder, made.decoder) == own
