"""Errors as HTTP answers: a status, and a body that is always ``{"error": "..."}``."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from mlserver_core.errors import ErrorCode, MLServerError, text_of
from mlserver_core.wire.json import encode

logger = logging.getLogger("mlserver.rest")

#: One row per ErrorCode; a test holds it complete.
STATUS = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.MODEL_NOT_FOUND: 404,
    ErrorCode.MODEL_NOT_READY: 400,
    ErrorCode.UNSUPPORTED: 501,
    ErrorCode.DEADLINE_EXCEEDED: 504,
    ErrorCode.OVERLOADED: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.CANCELLED: 499,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.RUNTIME_FAILED: 500,
    ErrorCode.INTERNAL: 500,
}


def to_status(error: MLServerError) -> int:
    """The HTTP status of an error: its own where it has one that HTTP knows as an error."""
    own = error.status_code
    if own is None:
        return STATUS[error.code]
    return own if 400 <= own <= 599 else 500


def to_response(status: int, text: str) -> web.Response:
    """An error answer."""
    return web.Response(
        status=status, body=encode({"error": text}), content_type="application/json"
    )


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into an error answer; the boundary of this transport."""
    try:
        return await handler(request)
    except MLServerError as error:
        answer = to_response(to_status(error), text_of(error))
        if answer.status in (429, 503):
            answer.headers["Retry-After"] = "1"
        return answer
    except web.HTTPRequestEntityTooLarge:
        limit = request._client_max_size  # noqa: SLF001  # aiohttp keeps it nowhere public
        return to_response(413, f"the request body is larger than max_body_size ({limit} bytes)")
    except web.HTTPException as error:
        answer = to_response(error.status, _describe(request, error))
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except web.RequestPayloadError as error:
        return to_response(400, f"the request body cannot be read: {error}")
    except Exception:
        logger.exception("Failed on %s %s", request.method, request.path)
        return to_response(500, "internal error; the server's log has the details")


def _describe(request: web.Request, error: web.HTTPException) -> str:
    if error.status == 404:
        return f"there is nothing at {request.path}"
    if error.status == 405:
        return f"{request.path} does not take {request.method}"
    return error.text or error.reason
