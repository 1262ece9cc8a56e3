"""Settings out of their sources: who wins, and how every mistake is told."""

import json
from pathlib import Path

import attrs
import pytest

from mlserver_core.errors import SettingsError
from mlserver_core.settings import CORSSettings, ModelParameters, Settings
from mlserver_core.settings.loading import (
    load_implicit_model,
    load_model_settings,
    load_settings,
)
from mlserver_core.types import MetadataTensor

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
DATATYPES = (
    "BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BF16, BYTES"
)


@attrs.define
class Server:
    """A folder with settings.json and .env, which load() writes and reads."""

    folder: object

    @property
    def file(self):
        return self.folder / "settings.json"

    def load(self, file=None, *, env=None, cli=None, dotenv="", strict=False):
        if file is not None:
            self.file.write_text(file if isinstance(file, str) else json.dumps(file))
        (self.folder / ".env").write_text(dotenv)
        return load_settings(
            self.folder,
            env or {},
            overrides=cli,
            dotenv=self.folder / ".env",
            strict=strict,
        )

    def problems(self, *args, **options):
        with pytest.raises(SettingsError) as caught:
            self.load(*args, **options)
        return list(caught.value.problems)


@attrs.define
class Model:
    """A model's folder called iris, with model-settings.json and .env beside it."""

    folder: object

    @property
    def file(self):
        return self.folder / "iris" / "model-settings.json"

    def load(self, file, *, env=None, dotenv="", strict=False):
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(file if isinstance(file, str) else json.dumps(file))
        (self.folder / ".env").write_text(dotenv)
        return load_model_settings(self.file, env or {}, dotenv=self.folder / ".env", strict=strict)

    def problems(self, *args, **options):
        with pytest.raises(SettingsError) as caught:
            self.load(*args, **options)
        return list(caught.value.problems)


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


@pytest.fixture
def model(tmp_path):
    return Model(tmp_path.resolve())


# The server: who wins


def test_without_any_source_the_defaults_hold(server):
    loaded = server.load()

    assert loaded.value == Settings(model_repository_root=str(server.folder))
    assert loaded.warnings == ()


def test_neither_file_needs_to_exist(tmp_path):
    assert load_settings(tmp_path, {}, dotenv=tmp_path / "none").value.http_port == 8080
    assert load_settings(tmp_path, {}).value.http_port == 8080


SOURCES = [
    ("cli", {"http_port": "4"}, 4),
    ("env", {"MLSERVER_HTTP_PORT": "3"}, 3),
    ("file", {"http_port": 2}, 2),
    ("dotenv", "MLSERVER_HTTP_PORT=1", 1),
]


@pytest.mark.parametrize(("name", "source", "value"), SOURCES)
def test_every_source_is_above_the_default(server, name, source, value):
    assert server.load(**{name: source}).value.http_port == value


@pytest.mark.parametrize("lower", SOURCES)
@pytest.mark.parametrize("upper", SOURCES)
def test_command_line_environment_file_dotenv_in_this_order(server, upper, lower):
    if SOURCES.index(upper) >= SOURCES.index(lower):
        return
    loaded = server.load(**{upper[0]: upper[1], lower[0]: lower[1]})

    assert loaded.value.http_port == upper[2]
    assert loaded.warnings == ()


def test_sources_add_up_field_by_field(server):
    loaded = server.load(
        {"host": "::1"},
        env={"MLSERVER_GRPC_PORT": "0"},
        cli={"http_port": "0"},
        dotenv="MLSERVER_SERVER_NAME=mine\n",
    )

    made = loaded.value
    assert (made.host, made.grpc_port, made.http_port, made.server_name) == ("::1", 0, 0, "mine")


def test_the_folder_is_the_repository(server):
    assert server.load({"model_repository_root": "/x"}).value.model_repository_root == str(
        server.folder
    )


# The server: kinds of values


def test_variables_hold_json_for_lists_and_objects(server):
    loaded = server.load(
        env={
            "MLSERVER_TRUSTED_TYPES": '["a.B", "c.D"]',
            "MLSERVER_EXTENSIONS": "[]",
            "MLSERVER_CORS_SETTINGS": '{"max_age": 5}',
            "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION_ARGS": '{"bucket": "b"}',
        }
    )

    assert loaded.value.trusted_types == ["a.B", "c.D"]
    assert loaded.value.cors_settings == CORSSettings(max_age=5)
    assert loaded.value.model_repository_implementation_args == {"bucket": "b"}


@pytest.mark.parametrize("value", ["logging.ini", {"version": 1}, None])
def test_logging_settings_are_a_path_or_an_object(server, value):
    assert server.load({"logging_settings": value}).value.logging_settings == value


@pytest.mark.parametrize(
    ("text", "value"), [("/a.ini", "/a.ini"), ('{"version": 1}', {"version": 1})]
)
def test_logging_settings_from_a_variable(server, text, value):
    env = {"MLSERVER_LOGGING_SETTINGS": text}

    assert server.load(env=env).value.logging_settings == value


def test_variables_are_read_in_any_case(server):
    env = {"mlserver_http_port": "1", "Mlserver_Debug": "yes"}

    made = server.load(env=env, strict=True).value
    assert (made.http_port, made.debug) == (1, True)


@pytest.mark.parametrize(("text", "value"), [("1", True), ("off", False), ("TRUE", True)])
def test_words_for_true_and_false_in_variables(server, text, value):
    env = {"MLSERVER_LOAD_MODELS_AT_STARTUP": text}

    assert server.load(env=env).value.load_models_at_startup is value


def test_an_empty_variable_unsets_what_may_be_unset(server):
    loaded = server.load(
        {"grpc_max_message_length": 5}, env={"MLSERVER_GRPC_MAX_MESSAGE_LENGTH": ""}
    )

    assert loaded.value.grpc_max_message_length is None


def test_whole_numbers_are_numbers(server):
    assert server.load({"shutdown_grace_period": 3}).value.shutdown_grace_period == 3


# The server: mistakes


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"http_port": "3"}, "http_port: expected an integer, got '3'"),
        ({"http_port": True}, "http_port: expected an integer, got true"),
        ({"http_port": None}, "http_port: expected an integer, got null"),
        ({"http_port": 1.0}, "http_port: expected an integer, got 1.0"),
        ({"http_port": 70000}, "http_port: expected a port from 0 to 65535, got 70000"),
        ({"debug": "yes"}, "debug: expected true or false, got 'yes'"),
        ({"debug": 1}, "debug: expected true or false, got 1"),
        ({"host": 5}, "host: expected a string, got 5"),
        ({"trusted_types": {}}, "trusted_types: expected a list, got an object"),
        ({"trusted_types": ["a", 1]}, "trusted_types[1]: expected a string, got 1"),
        (
            {"cors_settings": {"allow_origins": ["a", 5]}},
            "cors_settings.allow_origins[1]: expected a string, got 5",
        ),
        ({"cors_settings": []}, "cors_settings: expected an object, got a list"),
        ({"on_load_error": "x"}, "on_load_error: expected one of fail, serve, got 'x'"),
        ({"max_body_size": 0}, "max_body_size: expected at least 1, got 0"),
    ],
)
def test_a_wrong_value_names_the_file_the_key_and_both_sides(server, values, text):
    assert server.problems(values) == [f"{server.file}: {text}"]


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("MLSERVER_HTTP_PORT", "abc", "expected an integer, got 'abc'"),
        ("MLSERVER_HTTP_PORT", "8080.5", "expected an integer, got 8080.5"),
        ("MLSERVER_HTTP_PORT", "", "expected an integer, got ''"),
        ("MLSERVER_HTTP_PORT", "-1", "expected a port from 0 to 65535, got -1"),
        ("mlserver_debug", "2", "expected true or false, got 2"),
        ("MLSERVER_TRUSTED_TYPES", "a,b", "expected a list, got 'a,b'"),
        ("MLSERVER_PARALLEL_WORKERS", "100000", "expected 0 to 1024, got 100000"),
        ("MLSERVER_SHUTDOWN_GRACE_PERIOD", "-1", "expected at least 0, got -1.0"),
        ("MLSERVER_SHUTDOWN_GRACE_PERIOD", "nan", "expected at least 0, got nan"),
        ("MLSERVER_REQUEST_TIMEOUT", "0", "expected more than 0, got 0.0"),
        ("MLSERVER_QUEUE_TIMEOUT", "nan", "expected more than 0, got nan"),
        ("MLSERVER_MAX_QUEUE_SIZE", "-1", "expected at least 1, got -1"),
    ],
)
def test_a_wrong_variable_is_named_as_it_was_written(server, variable, value, text):
    assert server.problems(env={variable: value}) == [f"environment: {variable}: {text}"]


def test_a_place_inside_a_variable_is_named(server):
    assert server.problems(env={"MLSERVER_CORS_SETTINGS": '{"max_age": "x"}'}) == [
        "environment: MLSERVER_CORS_SETTINGS.max_age: expected an integer, got 'x'"
    ]


def test_a_wrong_value_of_a_dotenv_file_is_told_as_such(server):
    assert server.problems(dotenv="MLSERVER_HTTP_PORT=x") == [
        ".env: MLSERVER_HTTP_PORT: expected an integer, got 'x'"
    ]


def test_a_wrong_value_of_the_command_line_is_told_as_such(server):
    assert server.problems(cli={"http_port": "x"}) == [
        "command line: http_port: expected an integer, got 'x'"
    ]


def test_all_problems_of_all_sources_are_told_at_once(server):
    assert server.problems(
        {"http_port": "3", "debug": "no", "hosst": "a"},
        env={"MLSERVER_GRPC_PORT": "x", "MLSERVER_GPRC_PORT": "1"},
        cli={"http_port": "y"},
        dotenv="MLSERVER_HOST={}",
        strict=True,
    ) == [
        ".env: MLSERVER_HOST: expected a string, got an object",
        f"{server.file}: http_port: expected an integer, got '3'",
        f"{server.file}: debug: expected true or false, got 'no'",
        f"{server.file}: hosst: unknown key; did you mean 'host'?",
        "environment: MLSERVER_GRPC_PORT: expected an integer, got 'x'",
        "environment: unknown variable MLSERVER_GPRC_PORT; did you mean 'MLSERVER_GRPC_PORT'?",
        "command line: http_port: expected an integer, got 'y'",
    ]


def test_a_wrong_value_is_told_even_where_a_later_source_wins(server):
    assert server.problems({"http_port": "x"}, env={"MLSERVER_HTTP_PORT": "1"}) == [
        f"{server.file}: http_port: expected an integer, got 'x'"
    ]


def test_broken_json_names_file_and_position(server):
    assert server.problems('{"http_port": }') == [
        f"{server.file}: is not valid JSON: unexpected character, expected a JSON value: "
        "line 1 column 15 (char 14)"
    ]


def test_a_settings_file_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "settings.json").mkdir()

    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, {})


# The server: unknown keys

UNKNOWN = {
    "file": {"htp_port": 1, "qqq": 2, "cors_settings": {"alow_origins": []}},
    "env": {"MLSERVER_HTP_PORT": "1", "MLSERVER_QQQQQ": "2"},
    "cli": {"htp_port": "1"},
    "dotenv": "MLSERVER_HTP_PORT=1",
}


def expected_unknown(server):
    return [
        ".env: unknown variable MLSERVER_HTP_PORT; did you mean 'MLSERVER_HTTP_PORT'?",
        f"{server.file}: htp_port: unknown key; did you mean 'http_port'?",
        f"{server.file}: qqq: unknown key",
        f"{server.file}: cors_settings.alow_origins: unknown key; did you mean 'allow_origins'?",
        "environment: unknown variable MLSERVER_HTP_PORT; did you mean 'MLSERVER_HTTP_PORT'?",
        "environment: unknown variable MLSERVER_QQQQQ",
        "command line: htp_port: unknown key; did you mean 'http_port'?",
    ]


def test_unknown_keys_warn_with_the_nearest_known_one(server):
    loaded = server.load(**UNKNOWN)

    assert loaded.value.http_port == 8080
    assert [text for text in loaded.warnings if "no effect" not in text] == expected_unknown(server)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("implementation", "; it belongs in a model-settings.json"),
        ("max_batch_size", "; it belongs in a model-settings.json"),
        ("uri", "; it belongs in a model-settings.json, below 'parameters'"),
        ("source", ""),
    ],
)
def test_a_setting_of_a_model_among_the_servers_is_told_where_it_belongs(server, key, hint):
    text = f"{server.file}: {key}: unknown key{hint}"

    assert server.load({key: "1"}).warnings == (text,)
    assert server.problems({key: "1"}, strict=True) == [text]


def test_unknown_keys_are_problems_when_strict(server):
    assert server.problems(**UNKNOWN, strict=True) == expected_unknown(server)


def test_objects_that_take_any_key_have_no_unknown_ones(server):
    loaded = server.load({"model_repository_implementation_args": {"qqq": 1}}, strict=True)

    assert loaded.value.model_repository_implementation_args == {"qqq": 1}


def test_what_kubernetes_makes_for_services_is_ignored_even_when_strict(server):
    loaded = server.load(
        env={
            "MLSERVER_PORT": "tcp://10.0.0.1:8080",
            "MLSERVER_HTTP_PORT": "tcp://10.0.0.1:8080",
            "MLSERVER_SERVICE_HOST": "10.0.0.1",
            "MLSERVER_SERVICE_PORT_HTTP": "8080",
            "MLSERVER_PORT_8080_TCP": "tcp://10.0.0.1:8080",
            "MLSERVER_PORT_8080_TCP_PORT": "8080",
            "MLSERVER_PORT_8080_TCP_ADDR": "10.0.0.1",
        },
        strict=True,
    )

    assert loaded.value == Settings(model_repository_root=str(server.folder))
    assert loaded.warnings == ()


def test_variables_of_models_plugins_and_images_are_ignored_even_when_strict(server):
    loaded = server.load(
        env={
            "MLSERVER_MODEL_NAME": "iris",
            "MLSERVER_MODELS_DIR": "/mnt/models",
            "MLSERVER_BLOCK_PLUGINS": "rest",
            "MLSERVER_ENV_TARBALL": "/a.tar.gz",
            "OTHER": "x",
        },
        strict=True,
    )

    assert loaded.warnings == ()


def test_server_settings_whose_names_begin_with_model_are_read(server):
    loaded = server.load(env={"MLSERVER_MODEL_REPOSITORY_API": "off"}, strict=True)

    assert loaded.value.model_repository_api == "off"


# The server: settings without effect


def test_a_setting_of_mlserver_without_meaning_here_is_accepted_without_a_word(server):
    loaded = server.load({"metrics_dir": "/tmp/metrics"}, strict=True)

    assert loaded.value.metrics_dir == "/tmp/metrics"
    assert loaded.warnings == ()


def test_a_setting_whose_feature_is_not_built_yet_warns_even_when_strict(server):
    loaded = server.load({"kafka_enabled": True}, strict=True)

    assert loaded.value.kafka_enabled is True
    assert loaded.warnings == (f"{server.file}: kafka_enabled: has no effect yet in this version",)


def test_the_warning_names_the_variable(server):
    assert server.load(env={"MLSERVER_KAFKA_ENABLED": "true"}).warnings == (
        "environment: MLSERVER_KAFKA_ENABLED: has no effect yet in this version",
    )


def test_setting_the_default_of_such_a_setting_does_not_warn(server):
    loaded = server.load(
        {"kafka_enabled": False, "cors_settings": None, "model_repository_implementation_args": {}}
    )

    assert loaded.warnings == ()


# A model: who wins


def test_a_file_alone_is_enough_and_the_folder_gives_name_and_uri(model):
    loaded = model.load({"implementation": "sklearn"})

    made = loaded.value
    assert made.implementation == "sklearn"
    assert made.name == "iris"
    assert made.parameters == ModelParameters(uri=str(model.file.parent))
    assert made.source == model.file
    assert made.folder == model.file.parent
    assert loaded.warnings == ()


@pytest.mark.parametrize("name", ["", "flowers"])
def test_the_name_is_the_files_or_the_folders(model, name):
    made = model.load({"implementation": "sklearn", "name": name}).value

    assert made.name == (name or "iris")


def test_the_uri_of_the_file_is_kept(model):
    file = {"implementation": "sklearn", "parameters": {"uri": "./model.joblib"}}

    assert model.load(file).value.parameters.uri == "./model.joblib"


def test_the_name_of_a_relative_path_is_that_of_the_real_folder(model, monkeypatch):
    model.load({"implementation": "sklearn"})
    monkeypatch.chdir(model.file.parent)

    made = load_model_settings(model.file.relative_to(model.file.parent), {}).value

    assert made.name == "iris"
    assert made.source == model.file


MODEL_SOURCES = [
    ("file", {"platform": "f"}, "f"),
    ("env", {"MLSERVER_MODEL_PLATFORM": "e"}, "e"),
    ("dotenv", "MLSERVER_MODEL_PLATFORM=d", "d"),
]


@pytest.mark.parametrize("lower", MODEL_SOURCES)
@pytest.mark.parametrize("upper", MODEL_SOURCES)
def test_file_environment_dotenv_in_this_order(model, upper, lower):
    if MODEL_SOURCES.index(upper) > MODEL_SOURCES.index(lower):
        return
    sources = {lower[0]: lower[1], upper[0]: upper[1]}
    file = {"implementation": "sklearn"} | sources.pop("file", {})

    assert model.load(file, **sources).value.platform == upper[2]


def test_the_environment_fills_the_gaps_of_the_file(model):
    made = model.load(
        {"name": "flowers"},
        env={
            "MLSERVER_MODEL_IMPLEMENTATION": "sklearn",
            "MLSERVER_MODEL_NAME": "ignored",
            "MLSERVER_MODEL_VERSIONS": '["v1"]',
        },
    ).value

    assert (made.implementation, made.name, made.versions) == ("sklearn", "flowers", ["v1"])


def test_the_environment_fills_the_gaps_of_the_files_parameters(model):
    made = model.load(
        {"implementation": "sklearn", "parameters": {"uri": "./a", "mine": 1}},
        env={
            "MLSERVER_MODEL_URI": "/elsewhere",
            "MLSERVER_MODEL_VERSION": "v1",
            "MLSERVER_MODEL_EXTRA": '{"k": 1}',
        },
        dotenv="MLSERVER_MODEL_CONTENT_TYPE=np\nMLSERVER_MODEL_VERSION=v0\n",
    ).value

    assert made.parameters == ModelParameters(
        uri="./a", version="v1", content_type="np", extra={"k": 1}, mine=1
    )


def test_parameters_may_come_as_one_variable(model):
    file = {"implementation": "sklearn", "parameters": {"mine": 1}}
    env = {
        "MLSERVER_MODEL_PARAMETERS": '{"uri": "u", "mine": 2, "other": 3, "version": "v1"}',
        "MLSERVER_MODEL_VERSION": "v2",
    }

    assert model.load(file, env=env).value.parameters == ModelParameters(
        uri="u", version="v2", mine=1, other=3
    )


def test_parameters_without_a_file_of_their_own_come_from_the_environment(model):
    made = model.load({"implementation": "a"}, env={"MLSERVER_MODEL_URI": "/m"}).value

    assert made.parameters.uri == "/m"


def test_tensors_of_a_file_become_metadata(model):
    made = model.load({"implementation": "a", "inputs": [TENSOR], "outputs": []}).value

    assert made.inputs == [MetadataTensor(**TENSOR)]


def test_parameters_take_any_key_even_when_strict(model):
    file = {"implementation": "a", "parameters": {"threshold": 0.5, "extra": {"k": 1}}}
    loaded = model.load(file, strict=True)

    assert loaded.value.parameters.threshold == 0.5
    assert loaded.warnings == ()


def test_variables_of_the_server_do_not_matter_to_a_model(model):
    env = {
        "MLSERVER_HTTP_PORT": "x",
        "MLSERVER_MODEL_REPOSITORY_ROOT": "/m",
        "MLSERVER_MODEL_SERVICE_HOST": "10.0.0.1",
        "MLSERVER_MODEL_PORT": "tcp://10.0.0.1:80",
        "MLSERVER_MODELS_DIR": "/m",
    }
    loaded = model.load({"implementation": "a"}, env=env, strict=True)

    assert loaded.value.name == "iris"
    assert loaded.warnings == ()


# A model: mistakes


def test_a_missing_implementation_is_told(model):
    assert model.problems({}) == [f"{model.file}: implementation: required, but missing"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"name": 5}, ["name: expected a string, got 5"]),
        ({"versions": "v1"}, ["versions: expected a list, got 'v1'"]),
        ({"parameters": []}, ["parameters: expected an object, got a list"]),
        (
            {"parameters": {"version": 2, "extra": []}},
            [
                "parameters.version: expected a string, got 2",
                "parameters.extra: expected an object, got a list",
            ],
        ),
        (
            {"parameters": {"uri": "a\0b", "version": "v/1"}},
            [
                "parameters.uri: expected a name without NUL characters, got 'a\\x00b'",
                "parameters.version: expected a name without slashes and control characters, "
                "got 'v/1'",
            ],
        ),
        ({"warmup": ["a\0"]}, ["warmup: expected a name without NUL characters, got 'a\\x00'"]),
        ({"inputs": {}}, ["inputs: expected a list, got an object"]),
        (
            {"inputs": [TENSOR | {"datatype": "FP33", "shape": ["a"]}, {"shape": [1]}]},
            [
                f"inputs[0].datatype: expected one of {DATATYPES}, got 'FP33'",
                "inputs[0].shape[0]: expected an integer, got 'a'",
                "inputs[1].name: required, but missing",
                "inputs[1].datatype: required, but missing",
            ],
        ),
        ({"predict_threads": 0}, ["predict_threads: expected at least 1, got 0"]),
        ({"max_batch_time": -1}, ["max_batch_time: expected at least 0, got -1"]),
        ({"max_queue_size": 0}, ["max_queue_size: expected at least 1, got 0"]),
        ({"max_body_size": -1}, ["max_body_size: expected at least 1, got -1"]),
        ({"request_timeout": 0}, ["request_timeout: expected more than 0, got 0"]),
        ({"queue_timeout": -0.5}, ["queue_timeout: expected more than 0, got -0.5"]),
        ({"allow_pickle": "no"}, ["allow_pickle: expected true or false, got 'no'"]),
    ],
)
def test_wrong_values_name_the_file_the_place_and_both_sides(model, values, texts):
    assert model.problems({"implementation": "a"} | values) == [
        f"{model.file}: {text}" for text in texts
    ]


@pytest.mark.parametrize("file", [{}, {"parameters": {"uri": "./a"}}])
@pytest.mark.parametrize(
    ("variable", "value", "place", "text"),
    [
        ("MLSERVER_MODEL_INPUTS", "x", "MLSERVER_MODEL_INPUTS", "expected a list, got 'x'"),
        ("MLSERVER_MODEL_EXTRA", "x", "MLSERVER_MODEL_EXTRA", "expected an object, got 'x'"),
        (
            "MLSERVER_MODEL_PARAMETERS",
            '{"extra": 5}',
            "MLSERVER_MODEL_PARAMETERS.extra",
            "expected an object, got 5",
        ),
    ],
)
def test_a_wrong_variable_is_named_once_and_the_file_is_not_blamed(
    model, file, variable, value, place, text
):
    assert model.problems({"implementation": "a"} | file, env={variable: value}) == [
        f"environment: {place}: {text}"
    ]


def test_a_wrong_line_of_the_dotenv_file_is_not_blamed_on_the_environment(model):
    assert model.problems({"implementation": "a"}, dotenv="MLSERVER_MODEL_INPUTS=x") == [
        ".env: MLSERVER_MODEL_INPUTS: expected a list, got 'x'"
    ]


def test_unknown_keys_of_a_model_warn_with_the_nearest(model):
    file = {
        "implementation": "a",
        "nmae": "b",
        "qqq": 1,
        "source": "/x",
        "policy": {},
        "inputs": [TENSOR | {"shap": []}],
    }
    expected = [
        f"{model.file}: nmae: unknown key; did you mean 'name'?",
        f"{model.file}: qqq: unknown key",
        f"{model.file}: source: unknown key",
        f"{model.file}: policy: unknown key",
        f"{model.file}: inputs[0].shap: unknown key; did you mean 'shape'?",
    ]

    loaded = model.load(file)
    assert list(loaded.warnings) == expected
    assert loaded.value.source == model.file
    assert model.problems(file, strict=True) == expected


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("uri", "; did you mean 'parameters.uri'?"),
        ("version", "; did you mean 'parameters.version'?"),
        ("content_type", "; did you mean 'parameters.content_type'?"),
        ("inference_pool_gid", "; did you mean 'parameters.inference_pool_gid'?"),
        ("http_port", "; it belongs in settings.json"),
        ("model_extra", ""),
    ],
)
def test_a_key_of_a_model_that_has_its_place_elsewhere_is_told_where(model, key, hint):
    text = f"{model.file}: {key}: unknown key{hint}"

    assert model.load({"implementation": "a", key: "1"}).warnings == (text,)
    assert model.problems({"implementation": "a", key: "1"}, strict=True) == [text]


def test_the_key_model_of_mlservers_documentation_hints_at_name(model):
    text = f"{model.file}: model: unknown key; did you mean 'name'?"

    assert model.load({"implementation": "a", "model": "iris"}).warnings == (text,)
    assert model.problems({"implementation": "a", "model": "iris"}, strict=True) == [text]


def test_a_misspelt_required_key_is_named_beside_the_missing_one(model):
    assert sorted(model.problems({"implementaton": "a"})) == [
        f"{model.file}: implementation: required, but missing",
        f"{model.file}: implementaton: unknown key; did you mean 'implementation'?",
    ]


def test_all_problems_of_a_model_are_told_at_once(model):
    assert model.problems({"inputs": 5, "qqq": 1}, strict=True) == [
        f"{model.file}: inputs: expected a list, got 5",
        f"{model.file}: qqq: unknown key",
        f"{model.file}: implementation: required, but missing",
    ]


def test_broken_json_of_a_model_names_file_and_position(model):
    assert model.problems("{") == [
        f"{model.file}: is not valid JSON: unexpected end of data: line 1 column 2 (char 1)"
    ]


def test_a_missing_file_of_a_model_is_named(tmp_path):
    path = tmp_path / "model-settings.json"

    with pytest.raises(SettingsError) as caught:
        load_model_settings(path, {})

    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"


def test_an_environment_of_a_model_is_taken_without_a_word(model):
    for name in ("environment_tarball", "environment_path"):
        loaded = model.load({"implementation": "a", "parameters": {name: "./env"}})

        assert loaded.warnings == ()
        assert loaded.value.has_environment


# The implicit model


def test_without_an_implementation_there_is_no_implicit_model():
    assert load_implicit_model(Path(), {}) is None
    assert load_implicit_model(Path(), {"MLSERVER_MODEL_NAME": "iris"}) is None


def test_the_environment_alone_describes_a_model():
    loaded = load_implicit_model(
        Path(),
        {
            "MLSERVER_MODEL_IMPLEMENTATION": "my.Model",
            "MLSERVER_MODEL_NAME": "iris",
            "MLSERVER_MODEL_URI": "/mnt/models",
            "MLSERVER_MODEL_INPUTS": json.dumps([TENSOR]),
        },
        strict=True,
    )

    made = loaded.value
    assert (made.implementation, made.name) == ("my.Model", "iris")
    assert made.parameters == ModelParameters(uri="/mnt/models")
    assert made.inputs == [MetadataTensor(**TENSOR)]
    assert (made.source, made.folder) == (None, None)
    assert loaded.warnings == ()


def test_an_implicit_model_without_a_name_is_called_default():
    assert (
        load_implicit_model(Path(), {"mlserver_model_implementation": "a"}).value.name == "default"
    )


def test_an_implicit_model_may_stand_in_the_dotenv_file(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("MLSERVER_MODEL_IMPLEMENTATION=a\nMLSERVER_MODEL_NAME=b\n")

    made = load_implicit_model(Path(), {"MLSERVER_MODEL_NAME": "c"}, dotenv=dotenv).value

    assert (made.implementation, made.name) == ("a", "c")


def test_all_problems_of_an_implicit_model_are_told_with_their_variables():
    env = {
        "MLSERVER_MODEL_IMPLEMENTATION": "a",
        "MLSERVER_MODEL_INPUTS": "x",
        "MLSERVER_MODEL_EXTRA": "[]",
    }

    with pytest.raises(SettingsError) as caught:
        load_implicit_model(Path(), env)

    assert list(caught.value.problems) == [
        "environment: MLSERVER_MODEL_INPUTS: expected a list, got 'x'",
        "environment: MLSERVER_MODEL_EXTRA: expected an object, got a list",
    ]


def test_a_misspelt_variable_of_a_model_is_told_and_those_of_runtimes_are_not(tmp_path):
    environ = {
        "MLSERVER_MODEL_IMPLEMENTATON": "echo",
        "MLSERVER_MODEL_REPOSITORY_ROT": "/x",
        "MLSERVER_MODEL_URI": "x",
        "MLSERVER_MODEL_HUGGINGFACE_TASK": "x",
    }
    assert load_settings(tmp_path, environ).warnings == (
        "environment: unknown variable MLSERVER_MODEL_IMPLEMENTATON; did you mean "
        "'MLSERVER_MODEL_IMPLEMENTATION'?",
        "environment: unknown variable MLSERVER_MODEL_REPOSITORY_ROT; did you mean "
        "'MLSERVER_MODEL_REPOSITORY_ROOT'?",
    )


def test_a_model_settings_file_that_is_a_link_belongs_where_the_link_stands(tmp_path):
    target = tmp_path / "..data" / "settings"
    target.parent.mkdir()
    target.write_text('{"implementation": "echo"}', encoding="utf-8")
    link = tmp_path / "mine" / "model-settings.json"
    link.parent.mkdir()
    link.symlink_to(target)
    loaded = load_model_settings(link, {}).value
    assert (loaded.name, loaded.folder) == ("mine", link.parent)


def test_a_version_that_could_lead_elsewhere_is_a_problem_with_its_place(model):
    with pytest.raises(SettingsError) as refused:
        model.load({"implementation": "a", "parameters": {"version": "../1"}})
    [problem] = refused.value.problems
    assert "model-settings.json: parameters.version: expected a name without slashes" in problem
    assert "'../1'" in problem


def test_a_folder_whose_name_is_no_model_name_is_a_problem(tmp_path):
    path = tmp_path / "a\\b" / "model-settings.json"
    path.parent.mkdir()
    path.write_text('{"implementation": "echo"}')
    with pytest.raises(SettingsError, match="name: expected a name without slashes"):
        load_model_settings(path, {})
