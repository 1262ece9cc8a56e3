from __future__ import annotations

import pytest

from mlserver_core.grpc.calls import to_metadata

READY = "/inference.GRPCInferenceService/ModelReady"


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        ({"X-Name": "a"}, [("x-name", "a")]),
        ({"x-bytes-bin": "a", "y-bin": ""}, [("x-bytes-bin", "YQ"), ("y-bin", "")]),
        ({"x": " a b ", "blank": "  "}, [("x", "a b")]),
        ({"empty": "", "tilde~": "a", "te": "x", "grpc-status": "0", "a": "b\nc"}, []),
        ({"x": "Grüße"}, [("x", "Gr%C3%BC%C3%9Fe")]),
    ],
)
def test_only_what_grpc_can_carry_becomes_trailing_metadata(headers, metadata):
    assert to_metadata(headers) == metadata


@pytest.mark.parametrize("message", [b"\x60", b"\r\x01", b"\x0a\x05ab"])
def test_garbage_to_a_control_call_is_an_invalid_argument(shared_server, connect, frame, message):
    trailers = connect(shared_server).call(frame(message), READY)
    assert trailers["grpc-status"] == "3"
    assert trailers["grpc-message"].startswith("the message cannot be parsed")


def test_call_without_a_message_is_an_invalid_argument(shared_server, connect):
    trailers = connect(shared_server).call(b"", READY)
    assert trailers["grpc-status"] == "3"
    assert trailers["grpc-message"] == "the call ended before a message came"
