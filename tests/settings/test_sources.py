"""Places that settings come from: JSON files, .env files, variables."""

import re
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlserver_core.errors import SettingsError
from mlserver_core.settings.fields import setting
from mlserver_core.settings.sources import (
    Source,
    from_variables,
    is_service_link,
    parse_text,
    read_dotenv,
    read_json,
)


@attrs.define
class Sample:
    """A setting of each kind, and a field that is none."""

    text: str = setting("Text.", default="")
    count: int = setting("A number.", default=0)
    names: list[str] = setting("Names.", factory=list)
    table: dict[str, Any] = setting("A table.", factory=dict)
    maybe: int | None = setting("A number or none.", default=None)
    internal: int = 0


def problem(call, *arguments):
    with pytest.raises(SettingsError) as caught:
        call(*arguments)
    assert len(caught.value.problems) == 1
    return str(caught.value)


# JSON files


def test_read_json_gives_the_object(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"a": [1, null], "b": "é"}', encoding="utf-8")

    assert read_json(path) == {"a": [1, None], "b": "é"}


def test_broken_json_names_file_and_position(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"a": 1,\n "b" 2}')

    assert problem(read_json, path) == (
        f"{path}: is not valid JSON: unexpected character, expected ':' after key: "
        "line 2 column 6 (char 14)"
    )


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", '{"a": NaN}', "// no\n{}", "\ufeff{}"])
def test_what_is_no_json_is_refused_and_the_file_named(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text, encoding="utf-8")

    assert problem(read_json, path).startswith(f"{path}: is not valid JSON: ")


@pytest.mark.parametrize("text", ["[]", "5", "null", '"a"'])
def test_json_other_than_an_object_is_refused(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text)

    assert problem(read_json, path) == f"{path}: expected an object with settings at the top"


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "settings.json"

    assert problem(read_json, path) == f"{path}: cannot be read: No such file or directory"


def test_a_folder_is_no_file(tmp_path):
    assert problem(read_json, tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


# .env files


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b ", "b"),
        ("  A=b", "b"),
        ("export A=b", "b"),
        ("A=", ""),
        ("A=b=c", "b=c"),
        ("A='b c'", "b c"),
        ('A="b c"', "b c"),
        ('A="b # c"', "b # c"),
        ("A='it\"s' # said", 'it"s'),
        ("A=b # c", "b"),
        ("A=b#c", "b#c"),
        ('A="open', '"open'),
        ("A=''", ""),
        ('A=["a", "b"]', '["a", "b"]'),
        ('A={"a": 1}', '{"a": 1}'),
        ("A=é", "é"),
    ],
)
def test_a_line_of_a_dotenv_file(tmp_path, line, value):
    path = tmp_path / ".env"
    path.write_text(line + "\n", encoding="utf-8")

    assert read_dotenv(path) == {"A": value}


def test_comments_and_blank_lines_are_skipped_and_the_last_line_wins(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# one\n\n   \n  # two\r\nA=1\r\nB=2\nA=3")

    assert read_dotenv(path) == {"A": "3", "B": "2"}


def test_a_dotenv_file_that_is_not_there_has_no_variables(tmp_path):
    assert read_dotenv(tmp_path / ".env") == {}
    assert read_dotenv(tmp_path) == {}


def test_a_line_without_equals_sign_names_file_and_line(tmp_path):
    path = tmp_path / ".env"
    path.write_text("A=1\n# x\njust words\n")

    assert problem(read_dotenv, path) == f"{path}:3: expected NAME=value, got 'just words'"


def test_a_dotenv_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"A=\xff")

    assert problem(read_dotenv, path).startswith(f"{path}: cannot be read: 'utf-8' codec")


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
PLAIN = st.from_regex(r"[A-Za-z0-9_./:,{-]([A-Za-z0-9_./:,{} -]*[A-Za-z0-9_/}-])?", fullmatch=True)
QUOTABLE = st.text(
    st.characters(codec="utf-8", exclude_characters='"', exclude_categories=["Cc", "Zl", "Zp"])
)


@settings(deadline=None, max_examples=80)
@given(st.dictionaries(NAMES, PLAIN))
def test_any_plain_values_are_read_back(tmp_path_factory, variables):
    path = tmp_path_factory.getbasetemp() / "plain.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))

    assert read_dotenv(path) == variables


@settings(deadline=None, max_examples=80)
@given(st.dictionaries(NAMES, QUOTABLE))
def test_any_quoted_values_are_read_back(tmp_path_factory, variables):
    path = tmp_path_factory.getbasetemp() / "quoted.env"
    lines = [f'{name}="{value}" # why\n' for name, value in variables.items()]
    path.write_text("".join(lines), encoding="utf-8")

    assert read_dotenv(path) == variables


@settings(deadline=None, max_examples=100)
@given(st.binary() | st.text().map(str.encode))
def test_any_file_is_read_or_refused_with_its_name(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.env"
    path.write_bytes(content)

    try:
        variables = read_dotenv(path)
    except SettingsError as error:
        assert str(error).startswith(f"{path}:")  # noqa: PT017  # of those that are refused
    else:
        assert all(type(text) is str for pair in variables.items() for text in pair)


# Variables


def test_variables_are_parsed_as_the_fields_say():
    source = from_variables(
        "environment",
        {"X_TEXT": "5", "x_count": "7", "X_Names": '["a"]', "X_TABLE": '{"b": 1}', "X_MAYBE": ""},
        "X_",
        Sample,
    )

    assert source.name == "environment"
    assert source.values == {
        "text": "5",
        "count": 7,
        "names": ["a"],
        "table": {"b": 1},
        "maybe": None,
    }
    assert source.unknown == ()


def test_a_variable_is_named_as_it_was_written():
    source = from_variables("environment", {"x_count": "7"}, "X_", Sample)

    assert source.where("count") == "environment: x_count"
    assert source.where("names", "[0]") == "environment: names[0]"
    assert source.where("table", "a.b") == "environment: table.a.b"


def test_variables_without_our_prefix_are_not_ours():
    source = from_variables("environment", {"TEXT": "a", "Y_TEXT": "b", "PATH": "c"}, "X_", Sample)

    assert source == Source(name="environment", values={})


def test_variables_of_no_setting_are_told():
    source = from_variables("environment", {"X_TXT": "a", "X_INTERNAL": "1"}, "X_", Sample)

    assert source.values == {}
    assert source.unknown == ("X_TXT", "X_INTERNAL")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLSERVER_PORT", "tcp://10.0.0.1:8080"),
        ("MLSERVER_HTTP_PORT", "tcp://10.0.0.1:8080"),
        ("mlserver_http_port", "udp://10.0.0.1:8080"),
        ("MLSERVER_GRPC_PORT", "sctp://10.0.0.1:8081"),
        ("MLSERVER_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("MLSERVER_PORT_8080_TCP_PORT", "8080"),
        ("MLSERVER_PORT_8080_TCP_PROTO", "tcp"),
        ("MLSERVER_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("MLSERVER_PORT_53_UDP_PORT", "53"),
        ("MLSERVER_SERVICE_HOST", "10.0.0.1"),
        ("MLSERVER_SERVICE_PORT", "8080"),
        ("MLSERVER_SERVICE_PORT_HTTP", "8080"),
        ("MLSERVER_IRIS_SERVICE_HOST", "10.0.0.1"),
        ("MLSERVER_IRIS_PORT_8080_TCP_PORT", "8080"),
        ("MLSERVER_MODEL_SERVICE_HOST", "10.0.0.1"),
        ("MLSERVER_MODEL_PORT", "tcp://10.0.0.1:80"),
    ],
)
def test_what_kubernetes_makes_for_a_service_is_no_setting(variable, value):
    assert is_service_link(variable, value)
    assert from_variables("environment", {variable: value}, "MLSERVER_", Sample).unknown == ()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLSERVER_HTTP_PORT", "8080"),
        ("MLSERVER_HOST", "tcp://10.0.0.1"),
        ("MLSERVER_TRACING_SERVER", "tcp://10.0.0.1"),
        ("MLSERVER_METRICS_PORT", "http://10.0.0.1"),
        ("OTHER_SERVICE_HOST", "10.0.0.1"),
        ("OTHER_PORT", "tcp://10.0.0.1:80"),
        ("MLSERVER_KAFKA_SERVERS", "a:1"),
    ],
)
def test_what_is_set_by_hand_is_no_service_link(variable, value):
    assert not is_service_link(variable, value)


# Texts


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", int, 5),
        (" 5 ", int, 5),
        ("-5", int, -5),
        ("5.5", int, 5.5),
        ("abc", int, "abc"),
        ("", int, ""),
        ("0.5", float, 0.5),
        ("5", float, 5.0),
        ("5", str, "5"),
        ("true", str, "true"),
        ("", str, ""),
        ("[1]", str, "[1]"),
        ("2", bool, 2),
        ("maybe", bool, "maybe"),
        ('["a", "b"]', list[str], ["a", "b"]),
        ("a,b", list[str], "a,b"),
        ('["a"', list[str], '["a"'),
        ('{"a": 1}', dict[str, Any], {"a": 1}),
        ("", int | None, None),
        (" ", str | None, None),
        ("5", int | None, 5),
        ("x", str | None, "x"),
        ("/a/b", str | dict[str, Any] | None, "/a/b"),
        ('{"a": 1}', str | dict[str, Any] | None, {"a": 1}),
        ("{a", str | dict[str, Any] | None, "{a"),
        ("my.Model", Any, "my.Model"),
        ("5", Any, "5"),
    ],
)
def test_a_text_is_read_as_its_type_says(text, kind, value):
    made = parse_text(text, kind)

    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "Yes", "y", "on", "t", " true "])
def test_words_for_true(text):
    assert parse_text(text, bool) is True


@pytest.mark.parametrize("text", ["0", "false", "FALSE", "No", "n", "off", "f", " false "])
def test_words_for_false(text):
    assert parse_text(text, bool) is False


KINDS = [
    str,
    int,
    float,
    bool,
    list[str],
    dict[str, Any],
    str | None,
    int | None,
    bool | None,
    str | dict[str, Any] | None,
    Any,
]


@settings(deadline=None, max_examples=100)
@given(
    st.text(st.characters()) | st.from_regex(r"[\[{\"0-9eE.+-]+") | st.just("1" * 5000),
    st.sampled_from(KINDS),
)
def test_no_text_makes_parsing_raise(text, kind):
    made = parse_text(text, kind)

    assert made is None or isinstance(made, (str, int, float, bool, list, dict))


@settings(deadline=None, max_examples=50)
@given(st.text(), st.sampled_from([str, str | None]))
def test_any_text_stays_text_where_text_is_due(text, kind):
    made = parse_text(text, kind)

    if kind is not str and not text.strip():
        assert made is None
    elif not re.match(r"\s*\{", text):
        assert made == text


@settings(deadline=None, max_examples=50)
@given(st.integers() | st.floats(allow_nan=False))
def test_any_number_is_read_back(number):
    kind = type(number)

    assert parse_text(repr(number), kind) == number


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text()), st.dictionaries(st.text(), st.integers(-(2**63), 2**63 - 1)))
def test_any_json_is_read_back(names, table):
    assert parse_text(orjson.dumps(names).decode(), list[str]) == names
    assert parse_text(orjson.dumps(table).decode(), dict[str, Any]) == table
