"""The server's settings as a class."""

from importlib import metadata

import pytest

from mlserver_core.settings import CORSSettings, Settings


def test_defaults_are_those_of_mlserver_but_for_the_address():
    made = Settings()

    assert made.host == "127.0.0.1"
    assert (made.http_port, made.grpc_port, made.metrics_port) == (8080, 8081, 8082)
    assert made.model_repository_root == "."
    assert made.load_models_at_startup is True
    assert made.on_load_error == "fail"
    assert made.model_repository_api == "auto"
    assert made.server_name == "mlserver"
    assert made.server_version == metadata.version("mlserver-core")
    assert made.max_body_size == 128 * 1024 * 1024
    assert made.grpc_max_message_length is None
    assert (made.shutdown_grace_period, made.drain_delay) == (8, 0)
    assert (made.max_queue_size, made.request_timeout, made.queue_timeout) == (1024, None, None)
    assert made.allow_pickle is True
    assert made.debug is False


def test_lists_and_objects_are_no_shared_defaults():
    Settings().extensions.append("a")
    Settings().model_repository_implementation_args["a"] = 1

    assert Settings().extensions == []
    assert Settings().model_repository_implementation_args == {}


def test_constructing_reads_no_environment(monkeypatch):
    monkeypatch.setenv("MLSERVER_HTTP_PORT", "9999")

    assert Settings().http_port == 8080


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"http_port": 70000}, "expected a port from 0 to 65535, got 70000"),
        ({"on_load_error": "panic"}, "expected one of fail, serve, got 'panic'"),
        ({"model_repository_api": "yes"}, "expected one of auto, on, off, got 'yes'"),
        ({"max_body_size": 0}, "expected at least 1, got 0"),
        ({"grpc_max_message_length": -2}, "expected at least -1, got -2"),
        ({"shutdown_grace_period": -0.1}, "expected at least 0, got -0.1"),
        ({"drain_delay": -1}, "expected at least 0, got -1"),
        ({"loop_lag_warning": -1}, "expected at least 0, got -1"),
        ({"max_queue_size": 0}, "expected at least 1, got 0"),
        ({"request_timeout": 0}, "expected more than 0, got 0"),
        ({"queue_timeout": -2.5}, "expected more than 0, got -2.5"),
    ],
)
def test_values_out_of_range_are_refused(values, text):
    with pytest.raises(ValueError) as caught:
        Settings(**values)

    assert str(caught.value) == text


def test_a_setting_can_be_changed_and_is_checked_again():
    made = Settings()
    made.http_port = 0

    assert made.http_port == 0
    with pytest.raises(ValueError, match="expected a port"):
        made.http_port = -1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses_are_local(host):
    assert Settings(host=host).is_local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "", "localhost.x"])
def test_other_addresses_are_not_local(host):
    assert not Settings(host=host).is_local


def test_cors_settings_may_be_a_dict():
    made = Settings(cors_settings={"allow_origins": ["*"]})

    assert made.cors_settings == CORSSettings(allow_origins=["*"])


def test_cors_allows_no_origin_and_all_that_inference_needs():
    made = CORSSettings()

    assert made.allow_origins == []
    assert {"GET", "HEAD", "POST"} <= set(made.allow_methods)
    assert made.max_age == 600
    assert made.allow_credentials is False
