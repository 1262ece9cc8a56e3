"""Settings, descriptions and errors come as they were sent."""

import inspect
from pathlib import Path

import attrs
import numpy as np
import pytest

from mlserver_core import errors
from mlserver_core.errors import ErrorCode, InvalidRequest, MLServerError, RuntimeFailed
from mlserver_core.executors.interfaces import (
    HandlerDescription,
    HttpAnswer,
    HttpCall,
    ModelDescription,
)
from mlserver_core.executors.processes.values import pack, unpack
from mlserver_core.settings import (
    ArtifactPolicy,
    CORSSettings,
    ModelParameters,
    ModelSettings,
    Settings,
)
from mlserver_core.types import MetadataModelResponse, MetadataTensor, Parameters

ERRORS = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == errors.__name__
]
TENSOR = MetadataTensor(
    name="x", datatype="FP32", shape=[-1, 4], parameters=Parameters(content_type="np", unit="m")
)


def carry(value):
    """What arrives of a value."""
    metadata, buffers = pack(value)
    return unpack(metadata, bytearray(b"".join(buffers)))


OBJECTS = [
    ModelDescription(
        predicts=True,
        streams=False,
        handlers=(HandlerDescription(name="ping", rest_path="/ping", rest_method="POST"),),
    ),
    HttpCall(
        method="POST",
        url="/a%2Fb?c=\udcff",
        headers=(("A", "1"), ("A", "\udcff")),
        body=bytes(range(256)),
        variables={"name": "b"},
    ),
    HttpAnswer(status=200, reason=None, headers=(("A", "1"),), body=None),
    HttpAnswer(status=201, reason="Made", headers=(), body=b""),
    MetadataModelResponse(name="m", platform="p", versions=["1"], inputs=[TENSOR]),
    Settings(http_port=0, cors_settings=CORSSettings(max_age=5), logging_settings={"a": [1]}),
    ModelSettings(
        implementation="a.b.C",
        name="m",
        inputs=[TENSOR],
        parameters=ModelParameters(
            uri="x", version="v1", threshold=0.5, labels=["a"], extra={1: 2}
        ),
    ),
    Parameters(content_type="np", headers={"a": "b"}, more=[1]),
]


@pytest.mark.parametrize("sent", OBJECTS, ids=lambda sent: type(sent).__name__)
def test_objects_come_out_equal(sent):
    came = carry(sent)
    assert type(came) is type(sent)
    assert came == sent


def test_what_model_settings_do_not_compare_by_is_kept():
    policy = ArtifactPolicy(allow_pickle=False, trusted_types=("a.B",))
    sent = ModelSettings(implementation="a", source=Path("m/model-settings.json"), policy=policy)
    came = carry(sent)
    assert came.source == sent.source
    assert came.policy == policy


def test_a_class_as_implementation_is_named():
    with pytest.raises(RuntimeFailed, match=r"^settings\.implementation: expected .*, got type$"):
        pack({"settings": ModelSettings(implementation=dict)})


@pytest.mark.parametrize("cls", ERRORS)
def test_errors_keep_class_fields_code_and_status(cls):
    values = (
        {field.name: f"the {field.name}" for field in attrs.fields(cls)}
        if attrs.has(cls)
        else {"message": "the message", "status_code": 418}
    )
    if cls is errors.SettingsError:
        values = {"problems": ("one", "two")}
    sent = cls(**values)
    came = carry(sent)
    assert type(came) is cls
    for name, value in values.items():
        assert getattr(came, name) == value
    assert str(came) == str(sent)
    assert getattr(came, "code", None) is getattr(sent, "code", None)
    assert getattr(came, "status_code", None) == getattr(sent, "status_code", None)


def test_a_status_set_on_an_error_is_kept():
    sent = InvalidRequest("no")
    sent.status_code = 422
    assert carry(sent).status_code == 422


class Custom(InvalidRequest):
    code = ErrorCode.UNSUPPORTED
    status_code = 451

    def __str__(self):
        return f"custom {self.message}"


class Renamed(MLServerError):
    def __init__(self):
        super().__init__("renamed", None)
        self.code = ErrorCode.TOO_LARGE


class Odd(MLServerError):
    code = "no code"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (Custom("text"), ErrorCode.UNSUPPORTED),
        (Renamed(), ErrorCode.TOO_LARGE),
        (Odd("odd", 409), ErrorCode.INTERNAL),
    ],
    ids=repr,
)
def test_a_subclass_comes_as_an_error_of_equal_code_text_and_status(sent, code):
    came = carry({"error": sent})["error"]
    assert type(came) is MLServerError
    assert came.code is code
    assert str(came) == came.message == str(sent)
    assert came.status_code == sent.status_code


def test_other_exceptions_come_as_failures_of_the_runtime():
    came = carry(ValueError("no \udcff"))
    assert type(came) is RuntimeFailed
    assert str(came) == "ValueError: no ?"


def test_an_error_made_of_an_exception_comes_with_its_text():
    assert str(carry(InvalidRequest(ValueError("inner")))) == "inner"
    assert str(carry(InvalidRequest(np.int64(3)))) == "3"


def test_metadata_that_is_a_dict_is_kept():
    assert carry({"name": "m", "inputs": [{"shape": [-1]}]}) == {
        "name": "m",
        "inputs": [{"shape": [-1]}],
    }
