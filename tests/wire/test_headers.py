"""Which headers of a runtime reach a client, and in what spelling."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.wire.headers import sendable


@pytest.mark.parametrize("headers", [None, {}])
def test_no_headers_are_no_headers(headers):
    assert sendable(headers) == {}


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("X-Mine", "a b", "a b"),
        ("x-mine", "", ""),
        ("Set-Cookie", "a=b; Path=/", "a=b; Path=/"),
        ("X-Percent", "50% off", "50% off"),
        ("X-Marks", "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~\"", "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~\""),
        ("X-Number", 5, "5"),
        ("X-Share", 0.5, "0.5"),
        ("X-Flag", True, "True"),
        ("X-Cafe", "café", "caf%C3%A9"),
        ("X-Both", "50% é", "50% %C3%A9"),
        ("X-Face", "😀", "%F0%9F%98%80"),
        ("X-Echo", "\udc80", "%80"),
        ("x!#$%&'*+-.^_`|~0", "a", "a"),
    ],
)
def test_a_header_that_is_sent(caplog, name, value, sent):
    assert sendable({name: value}) == {name: sent}
    assert caplog.records == []


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "content-encoding",
        "Content-Length",
        "content-type",
        "Keep-Alive",
        "proxy-authenticate",
        "proxy-authorization",
        "Proxy-Connection",
        "TE",
        "trailer",
        "Transfer-Encoding",
        "Upgrade",
        "grpc-status",
        "Grpc-Message",
        "GRPC-",
        "",
        "two words",
        "X-Bad\r\nSet-Cookie",
        "X-Colon:",
        ":path",
        "X-é",
        "X-\n",
        5,
        None,
    ],
)
def test_a_name_that_is_ours_or_no_name_is_dropped_with_a_warning(caplog, name):
    assert sendable({name: "a", "X-Other": "b"}) == {"X-Other": "b"}
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, f"A runtime set the response header {name!r}, which is not sent")
    ]


@pytest.mark.parametrize(
    "value", ["a\r\nb", "a\nb", "a\rb", "\0", "a\tb", "\x1b[0m", "\x7f", "a\n"]
)
def test_a_value_with_control_characters_is_dropped_with_a_warning(caplog, value):
    assert sendable({"X-Mine": value}) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "A runtime set the response header 'X-Mine', which is not sent"
    ]


def test_the_warning_does_not_repeat_the_value(caplog):
    sendable({"X-Mine": "secret\n"})

    assert "secret" not in caplog.text


@pytest.mark.parametrize("value", ["\ud800", "a\ud83d", "\udc80\ud800", "é\udfff"])
def test_lone_surrogates_do_not_raise(value):
    sent = sendable({"X-Mine": value})

    assert sent["X-Mine"].isascii()


def test_the_callers_headers_are_left_alone():
    headers = {"X-Mine": "é", "Connection": "close"}

    sendable(headers)

    assert headers == {"X-Mine": "é", "Connection": "close"}


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.text(st.characters()), st.text(st.characters())))
def test_whatever_is_set_what_is_sent_is_printable_ascii(headers):
    sent = sendable(headers)

    assert set(sent) <= set(headers)
    for name, value in sent.items():
        assert name.isascii()
        assert all(0x20 < ord(letter) < 0x7F for letter in name)
        assert all(0x20 <= ord(letter) < 0x7F for letter in value)
