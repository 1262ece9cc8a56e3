"""What can go wrong, as classes that know nothing of HTTP or gRPC."""

from __future__ import annotations

import enum
from typing import ClassVar

import attrs

#: Characters of an error's text.
_LONGEST_TEXT = 4000


class ErrorCode(enum.Enum):
    """The kind of an error; each transport has a table with one row per member."""

    #: The caller sent something that cannot be understood or does not fit.
    INVALID_REQUEST = "invalid_request"
    #: The caller asked for a model or a version that is not here.
    MODEL_NOT_FOUND = "model_not_found"
    #: The model is here but cannot answer (yet).
    MODEL_NOT_READY = "model_not_ready"
    #: The server or the model does not offer what was asked.
    UNSUPPORTED = "unsupported"
    #: The answer would have come too late.
    DEADLINE_EXCEEDED = "deadline_exceeded"
    #: The request has ended the processes that worked on it; the caller must change it.
    QUARANTINED = "quarantined"
    #: Too much is queued; the caller may try again later.
    OVERLOADED = "overloaded"
    #: Nothing can serve right now; the caller may try again later.
    UNAVAILABLE = "unavailable"
    #: A body or message is above the operator's limit.
    TOO_LARGE = "too_large"
    #: The caller went away.
    CANCELLED = "cancelled"
    #: The caller did not say who it is.
    UNAUTHENTICATED = "unauthenticated"
    #: The caller may not do this.
    PERMISSION_DENIED = "permission_denied"
    #: The model's own code raised; its author must act.
    RUNTIME_FAILED = "runtime_failed"
    #: A bug of ours.
    INTERNAL = "internal"


class MLServerError(Exception):
    """An error with a text for the caller. Runtimes raise it with a status of their choice.

    Args:
        message: what was wrong and what to do; it reaches the client as it is.
        status_code: the HTTP status of the answer. ``None`` leaves it to ``code``.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_REQUEST
    status_code: int | None = None

    def __init__(self, message: str = "", status_code: int | None = 400) -> None:
        text = message if isinstance(message, str) else str(message)  # some pass an exception
        super().__init__(text, status_code)
        self.message = text
        self.status_code = None if status_code is None else int(status_code)

    def __str__(self) -> str:
        return self.message


# The classes below have no slots: with them, copies would lose notes and what was set later.


@attrs.define(eq=False, slots=False)
class InvalidRequest(MLServerError):
    """The caller's request cannot be used; the caller must change it."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_REQUEST
    message: str


@attrs.define(eq=False, slots=False)
class InferenceError(MLServerError):
    """A runtime refuses an input; the caller must change it."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_REQUEST
    message: str


@attrs.define(eq=False, slots=False)
class CodecError(MLServerError):
    """A payload cannot be encoded or decoded; the caller must change it."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_REQUEST
    message: str


@attrs.define(eq=False, slots=False)
class ModelNotFound(MLServerError):
    """No model of this name, or not in this version."""

    code: ClassVar[ErrorCode] = ErrorCode.MODEL_NOT_FOUND
    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"Model {named(self.name, self.version)} not found"


@attrs.define(eq=False, slots=False)
class ModelNotReady(MLServerError):
    """The model is known but not loaded, or it says of itself that it is not ready."""

    code: ClassVar[ErrorCode] = ErrorCode.MODEL_NOT_READY
    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"Model {named(self.name, self.version)} is not ready yet."


@attrs.define(eq=False, slots=False)
class InvalidModelURI(MLServerError):
    """The artifact that ``parameters.uri`` names is not there; the operator must act."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_REQUEST
    name: str
    uri: str | None = None

    def __str__(self) -> str:
        where = f" ({self.uri})" if self.uri else ""
        return f"Invalid URI specified for model {self.name}{where}"


@attrs.define(eq=False, slots=False)
class ModelParametersMissing(MLServerError):
    """A runtime needs ``parameters`` that the model's settings do not have; the operator must
    act.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_REQUEST
    name: str
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"Parameters missing for model {self.name}{why}"


@attrs.define(eq=False, slots=False)
class Unsupported(MLServerError):
    """The server or the model does not offer this; the caller must do without."""

    code: ClassVar[ErrorCode] = ErrorCode.UNSUPPORTED
    message: str


@attrs.define(eq=False, slots=False)
class TooLarge(MLServerError):
    """A body or message is above the limit the operator set."""

    code: ClassVar[ErrorCode] = ErrorCode.TOO_LARGE
    message: str


@attrs.define(eq=False, slots=False)
class PermissionDenied(MLServerError):
    """The operator does not allow this call."""

    code: ClassVar[ErrorCode] = ErrorCode.PERMISSION_DENIED
    message: str


@attrs.define(eq=False, slots=False)
class RuntimeFailed(MLServerError):
    """The model's own code raised; the author of the runtime must act."""

    code: ClassVar[ErrorCode] = ErrorCode.RUNTIME_FAILED
    message: str


@attrs.define(eq=False, slots=False)
class InvalidModelContext(MLServerError):
    """Only the code of a model may do this, while the server calls it; its author must act."""

    code: ClassVar[ErrorCode] = ErrorCode.RUNTIME_FAILED
    message: str


@attrs.define(eq=False, slots=False)
class InternalError(MLServerError):
    """A bug of ours; the text names the request to look for in the log."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    message: str


@attrs.define(eq=False, slots=False)
class Unavailable(MLServerError):
    """Nothing can serve right now, as while the server stops; the caller may try again."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    message: str


@attrs.define(eq=False, slots=False)
class WorkerLost(Unavailable):
    """The process that worked on the request has ended, perhaps because of it; the caller may
    try again.
    """


@attrs.define(eq=False, slots=False)
class Overloaded(MLServerError):
    """Too much waits already, of what the operator allows; the caller may try again later."""

    code: ClassVar[ErrorCode] = ErrorCode.OVERLOADED
    message: str


@attrs.define(eq=False, slots=False)
class DeadlineExceeded(MLServerError):
    """The answer would have come too late; the caller allowed too little time, or the server has
    too much to do.
    """

    code: ClassVar[ErrorCode] = ErrorCode.DEADLINE_EXCEEDED
    message: str


@attrs.define(eq=False, slots=False)
class Cancelled(MLServerError):
    """The caller has gone away, so that there is no answer; nobody has to act."""

    code: ClassVar[ErrorCode] = ErrorCode.CANCELLED
    message: str


@attrs.define(eq=False, slots=False)
class Quarantined(MLServerError):
    """The request has ended two workers; the author of the runtime must act."""

    code: ClassVar[ErrorCode] = ErrorCode.QUARANTINED
    message: str


@attrs.define(eq=False, slots=False)
class SettingsError(Exception):
    """Settings cannot be used; the operator must act. Holds every problem found."""

    problems: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.problems)


@attrs.define(eq=False, slots=False)
class PluginError(Exception):
    """A plugin cannot be used; its author, or the operator who installed it, must act."""

    plugin: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r}: {self.message}"


@attrs.define(eq=False, slots=False)
class ModelLoadError(Exception):
    """A model cannot be loaded; the operator or the author of its runtime must act."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"model {self.name!r} failed to load: {self.message}"


@attrs.define(eq=False, slots=False)
class StartupError(Exception):
    """The server cannot start; the operator must act."""

    message: str

    def __str__(self) -> str:
        return self.message


def text_of(error: BaseException) -> str:
    """The text of an error as it can be sent: UTF-8, whatever its class makes of itself, and cut
    where it is long, since it may quote what a client sent.
    """
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # somebody else's __str__
        text = type(error).__name__
    text = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."
    return text.encode("utf-8", "replace").decode()


def named(name: str, version: str | None) -> str:
    """``name``, or ``name with version v`` where a version was asked for."""
    return f"{name} with version {version}" if version else name
