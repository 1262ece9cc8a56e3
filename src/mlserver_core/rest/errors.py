"""Errors as HTTP answers: a status, and a body that is always ``{"error": "..."}``."""

from __future__ import annotations

import logging

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mlserver_core.errors import ErrorCode, MLServerError, text_of
from mlserver_core.rest.body import body_limit, too_large_text
from mlserver_core.rest.redirects import redirect, without_slash
from mlserver_core.rest.request_id import header_value, request_id
from mlserver_core.wire.json import encode

#: Characters of a text in the log.
_LONGEST = 500
_OF_THE_BODY = frozenset({hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.CONTENT_ENCODING})

logger = logging.getLogger("mlserver.rest")

#: One row per ErrorCode; a test holds it complete.
STATUS = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.MODEL_NOT_FOUND: 404,
    ErrorCode.MODEL_NOT_READY: 400,
    ErrorCode.UNSUPPORTED: 501,
    ErrorCode.DEADLINE_EXCEEDED: 504,
    ErrorCode.QUARANTINED: 422,
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
    except Exception as error:  # noqa: BLE001  # told to the client and the log
        return await answer_error(request, error)


async def answer_error(request: web.Request, error: Exception) -> web.StreamResponse:
    """The answer to a request whose route is known; raises ConnectionError where none can begin."""
    if _is_routers(request, error) and isinstance(error, web.HTTPNotFound):
        location = await without_slash(request)
        if location is not None:
            return redirect(location)
    if isinstance(error, web.HTTPException) and error.status < 400:
        return _to_answer(error)
    status, text = explain(request, error)
    if is_client_gone(request):
        status, text = 499, "the client has gone away"
    log_error(request, error, status, text)
    if request.writer.output_size > 0:  # in the middle of an answer no other can begin
        raise ConnectionError("the answer broke off") from error
    return _answer(request, error, status, text)


def _answer(request: web.Request, error: Exception, status: int, text: str) -> web.Response:
    answer = to_response(status, text)
    if status in (429, 503):
        answer.headers["Retry-After"] = "1"
    if isinstance(error, web.HTTPException):
        _keep_headers(error, answer)
    return answer


def _keep_headers(raised: web.HTTPException, answer: web.Response) -> None:
    """Puts the headers of an exception, cookies among them, before an answer of ours."""
    for name in raised.headers.keys() - _OF_THE_BODY:
        answer.headers.popall(name, None)
        for value in raised.headers.getall(name):
            answer.headers.add(name, value)
    answer.cookies.update(raised.cookies)


def _to_answer(raised: web.HTTPException) -> web.Response:
    """What a custom handler raised and is no error; aiohttp forbids to return the exception."""
    answer = web.Response(
        status=raised.status, reason=raised.reason, headers=raised.headers, body=raised.body
    )
    answer.cookies.update(raised.cookies)
    return answer


def _is_routers(request: web.Request, error: Exception) -> bool:
    """Does it say that no route of the server fits, as opposed to what a handler raised?"""
    return error is request.match_info.http_exception


def is_client_gone(request: web.Request) -> bool:
    """Is there nobody left to answer?"""
    return request.transport is None or request.transport.is_closing()


def explain(request: web.Request, error: Exception) -> tuple[int, str]:
    """The status and the text that a client gets for an error."""
    if isinstance(error, MLServerError):
        return to_status(error), text_of(error)
    if isinstance(error, web.HTTPRequestEntityTooLarge):  # of a handler that reads by itself
        return 413, too_large_text(body_limit(request))
    if isinstance(error, web.HTTPException):
        text = error.text or error.reason
        if _is_routers(request, error):
            text = f"{request.path} does not take {request.method}"
            if error.status == 404:
                text = f"there is nothing at {request.path}"
        return error.status, text
    if isinstance(error, web.RequestPayloadError):
        reason = getattr(error.__cause__, "message", str(error))
        return 400, f"the request body cannot be read: {' '.join(str(reason).split())}"
    return 500, "internal error; the server's log has the details"


def log_error(request: web.Request, error: Exception, status: int, text: str) -> None:
    """One line for what the client can mend, or what somebody has logged in full already; a
    bug of ours with its traceback.
    """
    level = logging.INFO
    if status >= 500:
        meant = status in (501, 503, 504) or isinstance(error, web.HTTPException)
        level = logging.WARNING if meant else logging.ERROR
    known = isinstance(error, (MLServerError, web.HTTPException, web.RequestPayloadError))
    logger.log(
        level,
        "%s %s: %d, request %s: %s",
        request.method,
        request.rel_url.raw_path,
        status,
        header_value(request_id(request)),
        one_line(text),
        exc_info=None if known or status < 500 else error,
    )


def one_line(text: str) -> str:
    """A text as a line of a log can hold it: nothing in it begins another line."""
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in cut)
