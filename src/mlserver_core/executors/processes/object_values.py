"""Forms of settings, descriptions and errors, which travel rarely: their fields by name."""

from __future__ import annotations

from typing import Any

import attrs

from mlserver_core import errors
from mlserver_core.errors import ErrorCode, MLServerError, RuntimeFailed, text_of
from mlserver_core.executors.interfaces import (
    HandlerDescription,
    HttpAnswer,
    HttpCall,
    ModelDescription,
)
from mlserver_core.executors.processes.packing import (
    Packer,
    PackForm,
    Unpacker,
    UnpackForm,
    Unsendable,
)
from mlserver_core.executors.processes.plain_values import form
from mlserver_core.settings import (
    ArtifactPolicy,
    CORSSettings,
    ModelParameters,
    ModelSettings,
    Settings,
)
from mlserver_core.types import MetadataModelResponse, MetadataTensor

#: Classes whose instances travel as what their fields hold.
_CLASSES: tuple[type[Any], ...] = (
    ArtifactPolicy,
    CORSSettings,
    HandlerDescription,
    HttpAnswer,
    HttpCall,
    MetadataModelResponse,
    MetadataTensor,
    ModelDescription,
    ModelParameters,
    ModelSettings,
    Settings,
)
#: Fields of open objects, which take their other names after they are made.
_OPEN = "model_extra"


def _pack_object(packer: Packer, cls: Any, value: Any) -> Any:
    packed = {}
    for field in attrs.fields(cls):
        try:
            packed[field.name] = packer.pack(getattr(value, field.name))
        except Unsendable as error:
            raise error.under(f".{field.name}") from None
    return form(cls.__name__, packed)


def _unpack_object(unpacker: Unpacker, cls: Any, node: Any) -> Any:
    values = {name: unpacker.unpack(each) for name, each in node.items()}
    extra = values.pop(_OPEN, None)
    made = cls(**values)
    if extra is not None:
        made.model_extra = extra
    return made


def _pack_error(packer: Packer, error: BaseException) -> Any:
    cls = type(error)
    status = getattr(error, "status_code", None)
    if getattr(errors, cls.__name__, None) is not cls:
        if not isinstance(error, MLServerError):
            return _pack_error(packer, RuntimeFailed(f"{cls.__name__}: {text_of(error)}"))
        return form("error", (None, packer.pack(text_of(error)), status, _code_of(error)))
    names = [field.name for field in attrs.fields(cls)] if attrs.has(cls) else ["message"]
    values = {name: _plain(getattr(error, name)) for name in names}
    return form("error", (cls.__name__, packer.pack(values), status, _code_of(error)))


def _unpack_error(unpacker: Unpacker, node: Any) -> BaseException:
    name, given, status, code = node
    made: BaseException
    if name is None:
        made = MLServerError(unpacker.unpack(given), status)
    else:
        made = getattr(errors, name)(**unpacker.unpack(given))
    if isinstance(made, MLServerError):
        made.status_code = status
        if made.code.value != code:  # of a class that is not known here
            vars(made)["code"] = ErrorCode(code)
    return made


def _code_of(error: BaseException) -> str | None:
    code = getattr(error, "code", None)
    if isinstance(error, MLServerError) and not isinstance(code, ErrorCode):
        code = ErrorCode.INTERNAL
    return code.value if isinstance(code, ErrorCode) else None


def _plain(value: Any) -> Any:
    """What somebody gave as the field of an error, such as another error, as text."""
    return value if value is None or isinstance(value, (str, tuple)) else str(value)


def _packer_of(cls: type[Any]) -> PackForm:
    return lambda packer, value: _pack_object(packer, cls, value)


def _unpacker_of(cls: type[Any]) -> UnpackForm:
    return lambda unpacker, node: _unpack_object(unpacker, cls, node)


PACK: dict[type, PackForm] = {cls: _packer_of(cls) for cls in _CLASSES}
PACK[BaseException] = _pack_error
UNPACK: dict[str, UnpackForm] = {cls.__name__: _unpacker_of(cls) for cls in _CLASSES}
UNPACK["error"] = _unpack_error
