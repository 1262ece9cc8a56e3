"""Errors as gRPC statuses."""

from __future__ import annotations

import logging

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.metadata import encode_grpc_message

from mlserver_core.errors import ErrorCode, MLServerError, text_of

logger = logging.getLogger("mlserver.grpc")

#: One row per ErrorCode; a test holds it complete.
STATUS = {
    ErrorCode.INVALID_REQUEST: Status.INVALID_ARGUMENT,
    ErrorCode.MODEL_NOT_FOUND: Status.NOT_FOUND,
    ErrorCode.MODEL_NOT_READY: Status.INVALID_ARGUMENT,
    ErrorCode.UNSUPPORTED: Status.UNIMPLEMENTED,
    ErrorCode.DEADLINE_EXCEEDED: Status.DEADLINE_EXCEEDED,
    ErrorCode.QUARANTINED: Status.FAILED_PRECONDITION,
    ErrorCode.OVERLOADED: Status.RESOURCE_EXHAUSTED,
    ErrorCode.UNAVAILABLE: Status.UNAVAILABLE,
    ErrorCode.TOO_LARGE: Status.RESOURCE_EXHAUSTED,
    ErrorCode.CANCELLED: Status.CANCELLED,
    ErrorCode.UNAUTHENTICATED: Status.UNAUTHENTICATED,
    ErrorCode.PERMISSION_DENIED: Status.PERMISSION_DENIED,
    ErrorCode.RUNTIME_FAILED: Status.INTERNAL,
    ErrorCode.INTERNAL: Status.INTERNAL,
}

#: For a status of its own choice that a runtime gave an MLServerError; others are UNKNOWN.
_BY_NUMBER = {
    400: Status.INVALID_ARGUMENT,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.NOT_FOUND,
    413: Status.RESOURCE_EXHAUSTED,
    422: Status.FAILED_PRECONDITION,
    429: Status.RESOURCE_EXHAUSTED,
    499: Status.CANCELLED,
    500: Status.INTERNAL,
    501: Status.UNIMPLEMENTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}
#: Characters of a text, and bytes of it as it is sent, where escapes make up to 12 of one
#: character: clients refuse trailers above 8 KiB.
_LONGEST_TEXT = 2000
_MOST_BYTES = 6000


def to_status(error: MLServerError) -> Status:
    """The status of an error: that of its code, or the nearest to the number it has."""
    if error.status_code is None:
        return STATUS[error.code]
    return _BY_NUMBER.get(error.status_code, Status.UNKNOWN)


def to_grpc_error(error: Exception) -> GRPCError:
    """What the client gets; an error that is none of ours is logged and not shown."""
    if not isinstance(error, MLServerError):
        logger.error("Failed on a gRPC call", exc_info=error)
        return GRPCError(Status.INTERNAL, "internal error; the server's log has the details")
    return GRPCError(to_status(error), _shorten(text_of(error)))


def _shorten(text: str) -> str:
    text = text[:_LONGEST_TEXT]
    while len(encode_grpc_message(text)) > _MOST_BYTES:
        text = text[: len(text) * 9 // 10]
    return text
