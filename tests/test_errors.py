"""Errors as values: their texts, and that they survive copies and processes."""

import copy
import inspect
import pickle

import attrs
import pytest

from mlserver_core import errors
from mlserver_core.errors import (
    Cancelled,
    CodecError,
    DeadlineExceeded,
    ErrorCode,
    InferenceError,
    InternalError,
    InvalidModelContext,
    InvalidModelURI,
    InvalidRequest,
    MLServerError,
    ModelLoadError,
    ModelNotFound,
    ModelNotReady,
    ModelParametersMissing,
    Overloaded,
    PermissionDenied,
    PluginError,
    Quarantined,
    RuntimeFailed,
    SettingsError,
    StartupError,
    TooLarge,
    Unavailable,
    Unsupported,
    WorkerLost,
    named,
    text_of,
)

ALL = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == errors.__name__
]
COPIES = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def make(cls):
    """An instance with every field set to something of its own."""
    if cls is MLServerError:
        return cls("teapot", 418)
    values = {field.name: f"the {field.name}" for field in attrs.fields(cls)}
    if cls is SettingsError:
        values = {"problems": ("one", "two")}
    return cls(**values)


def test_introspection_finds_the_classes():
    assert {MLServerError, InvalidRequest, SettingsError, StartupError} < set(ALL)


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("cls", ALL)
def test_a_copy_has_the_same_type_text_arguments_and_fields(cls, way):
    error = make(cls)

    made = COPIES[way](error)

    assert type(made) is cls
    assert made is not error
    assert str(made) == str(error)
    assert made.args == error.args
    assert getattr(made, "code", None) is getattr(error, "code", None)
    assert getattr(made, "status_code", None) == getattr(error, "status_code", None)
    if attrs.has(cls):
        assert attrs.asdict(made) == attrs.asdict(error)


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("cls", ALL)
def test_a_copy_keeps_notes(cls, way):
    error = make(cls)
    error.__notes__ = ["seen in worker 3"]  # what add_note() of Python 3.11 does

    assert COPIES[way](error).__notes__ == ["seen in worker 3"]


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("cls", [cls for cls in ALL if issubclass(cls, MLServerError)])
def test_a_copy_keeps_a_status_set_later(cls, way):
    error = make(cls)
    error.status_code = 451

    assert COPIES[way](error).status_code == 451


@pytest.mark.parametrize("way", COPIES)
def test_a_subclass_of_a_runtime_survives_a_copy(way):
    made = COPIES[way](OutOfInk("no ink", 507))

    assert type(made) is OutOfInk
    assert (made.message, made.status_code, str(made)) == ("no ink", 507, "no ink")


class OutOfInk(MLServerError):
    """What a runtime's author may write."""


@pytest.mark.parametrize("cls", ALL)
def test_errors_can_be_raised_and_are_hashable(cls):
    error = make(cls)

    with pytest.raises(cls) as caught:
        raise error

    assert caught.value is error
    assert {error: 1}[error] == 1
    assert error != make(cls)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MLServerError("as it is"), "as it is"),
        (InvalidRequest("m"), "m"),
        (InferenceError("m"), "m"),
        (CodecError("m"), "m"),
        (ModelNotFound("iris"), "Model iris not found"),
        (ModelNotFound("iris", "v2"), "Model iris with version v2 not found"),
        (ModelNotReady("iris"), "Model iris is not ready yet."),
        (ModelNotReady("iris", "v2"), "Model iris with version v2 is not ready yet."),
        (InvalidModelURI("iris"), "Invalid URI specified for model iris"),
        (InvalidModelURI("iris", "/a/b"), "Invalid URI specified for model iris (/a/b)"),
        (ModelParametersMissing("iris"), "Parameters missing for model iris"),
        (ModelParametersMissing("iris", "no uri"), "Parameters missing for model iris: no uri"),
        (Unavailable("m"), "m"),
        (Unsupported("m"), "m"),
        (TooLarge("m"), "m"),
        (PermissionDenied("m"), "m"),
        (RuntimeFailed("m"), "m"),
        (InvalidModelContext("m"), "m"),
        (InternalError("m"), "m"),
        (SettingsError(("one", "two")), "one\ntwo"),
        (PluginError("mine", "is broken"), "plugin 'mine': is broken"),
        (ModelLoadError("iris", "no file"), "model 'iris' failed to load: no file"),
        (StartupError("m"), "m"),
    ],
)
def test_text_of_each_error(error, text):
    assert str(error) == text


@pytest.mark.parametrize(
    ("cls", "code"),
    [
        (MLServerError, ErrorCode.INVALID_REQUEST),
        (InvalidRequest, ErrorCode.INVALID_REQUEST),
        (InferenceError, ErrorCode.INVALID_REQUEST),
        (CodecError, ErrorCode.INVALID_REQUEST),
        (ModelNotFound, ErrorCode.MODEL_NOT_FOUND),
        (ModelNotReady, ErrorCode.MODEL_NOT_READY),
        (InvalidModelURI, ErrorCode.INVALID_REQUEST),
        (ModelParametersMissing, ErrorCode.INVALID_REQUEST),
        (Unavailable, ErrorCode.UNAVAILABLE),
        (WorkerLost, ErrorCode.UNAVAILABLE),
        (Overloaded, ErrorCode.OVERLOADED),
        (DeadlineExceeded, ErrorCode.DEADLINE_EXCEEDED),
        (Cancelled, ErrorCode.CANCELLED),
        (Quarantined, ErrorCode.QUARANTINED),
        (Unsupported, ErrorCode.UNSUPPORTED),
        (TooLarge, ErrorCode.TOO_LARGE),
        (PermissionDenied, ErrorCode.PERMISSION_DENIED),
        (RuntimeFailed, ErrorCode.RUNTIME_FAILED),
        (InvalidModelContext, ErrorCode.RUNTIME_FAILED),
        (InternalError, ErrorCode.INTERNAL),
    ],
)
def test_code_of_each_error(cls, code):
    assert cls.code is code


def test_every_request_error_has_its_code_tested():
    tested = {mark.args[1][index][0] for mark, index in _code_rows()}
    assert tested == {cls for cls in ALL if issubclass(cls, MLServerError)}


def _code_rows():
    (mark,) = test_code_of_each_error.pytestmark
    return [(mark, index) for index in range(len(mark.args[1]))]


def test_status_of_a_runtime_is_400_unless_it_says_otherwise():
    assert MLServerError("m").status_code == 400
    assert MLServerError("m", 418).status_code == 418
    assert MLServerError("m", None).status_code is None


def test_status_given_as_an_enum_becomes_a_number():
    from http import HTTPStatus

    status = MLServerError("m", HTTPStatus.CONFLICT).status_code

    assert status == 409
    assert type(status) is int


@pytest.mark.parametrize(
    "cls", [cls for cls in ALL if issubclass(cls, MLServerError) and cls is not MLServerError]
)
def test_our_own_errors_leave_the_status_to_their_code(cls):
    assert make(cls).status_code is None


@pytest.mark.parametrize(
    ("version", "text"), [(None, "iris"), ("", "iris"), ("v1", "iris with version v1")]
)
def test_named_says_the_version_only_when_one_was_asked_for(version, text):
    assert named("iris", version) == text


def test_an_error_made_of_another_one_has_its_text():
    assert str(MLServerError(ValueError("no such column"))) == "no such column"
    assert str(MLServerError({"reason": 1})) == "{'reason': 1}"


def test_the_text_of_an_error_can_always_be_sent():
    class Odd(Exception):
        def __str__(self):
            raise ValueError

    assert text_of(Odd()) == "Odd"
    assert text_of(MLServerError("file \udcff")) == "file ?"


def test_a_long_text_is_cut_as_it_may_quote_what_a_client_sent():
    assert len(text_of(InvalidRequest("x" * 5_000_000))) < 5000
