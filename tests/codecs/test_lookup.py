"""Which codec, by content type or by payload."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from mlserver_core.codecs import (
    Base64Codec,
    Codecs,
    DatetimeCodec,
    JSONCodec,
    NumpyCodec,
    NumpyRequestCodec,
    PandasCodec,
    StringCodec,
    StringRequestCodec,
)
from mlserver_core.codecs.json import PandasJSONCodec
from mlserver_core.codecs.plugin import built_in_codecs
from mlserver_core.errors import CodecError, InvalidRequest


@pytest.fixture
def codecs():
    return built_in_codecs()


def test_the_built_in_codecs(codecs):
    assert codecs.inputs.items() == {
        "np": NumpyCodec,
        "str": StringCodec,
        "base64": Base64Codec,
        "datetime": DatetimeCodec,
        "json": JSONCodec,
        "pd_json": PandasJSONCodec,
    }
    assert codecs.requests.items() == {
        "np": NumpyRequestCodec,
        "str": StringRequestCodec,
        "pd": PandasCodec,
    }


def test_a_content_type_finds_its_codec(codecs):
    assert codecs.input_codec("np", "input 'x'") is NumpyCodec
    assert codecs.request_codec("str", "the request") is StringRequestCodec


def test_a_content_type_of_whole_requests_is_no_codec_of_tensors(codecs):
    assert codecs.input_codec("pd", "input 'x'") is None
    assert codecs.request_codec("pd", "the request") is PandasCodec


@pytest.mark.parametrize("method", ["input_codec", "request_codec"])
def test_an_unknown_content_type_is_refused_with_its_place_and_the_known_ones(codecs, method):
    with pytest.raises(InvalidRequest) as caught:
        getattr(codecs, method)("numpy", "input 'x'")

    assert str(caught.value) == (
        "input 'x' has the unknown content type 'numpy'; known are base64, datetime, json, np, "
        "pd, pd_json, str"
    )


@pytest.mark.parametrize(
    ("payload", "codec"),
    [
        (np.zeros(1), NumpyCodec),
        (["a"], StringCodec),
        ([], StringCodec),
        ([b"a"], Base64Codec),
        ([datetime(2026, 1, 31)], DatetimeCodec),  # noqa: DTZ001  # one without an offset
        ([{"a": 1}], JSONCodec),
    ],
)
def test_a_payload_finds_the_codec_of_a_tensor(codecs, payload, codec):
    assert codecs.input_codec_for(payload) is codec


@pytest.mark.parametrize(
    ("payload", "codec"),
    [
        (np.zeros(1), NumpyRequestCodec),
        (["a"], StringRequestCodec),
        (pd.DataFrame({"a": [1]}), PandasCodec),
    ],
)
def test_a_payload_finds_the_codec_of_a_response(codecs, payload, codec):
    assert codecs.request_codec_for(payload) is codec


def test_a_payload_that_no_codec_takes_is_refused_with_the_known_ones(codecs):
    with pytest.raises(CodecError) as caught:
        codecs.input_codec_for({"a": 1})
    assert (
        str(caught.value)
        == "no input codec can encode dict; known are np, str, base64, datetime, json, pd_json"
    )

    with pytest.raises(CodecError) as caught:
        codecs.request_codec_for(5)
    assert str(caught.value) == "no request codec can encode int; known are np, str, pd"


def test_two_servers_have_codecs_of_their_own():
    Codecs().inputs.add("np", NumpyCodec)

    assert "np" not in Codecs().inputs
