"""What every client of ``mlserver infer`` is, and how its calls fail and are tried again."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import math
import random
import ssl
import time
from collections.abc import Mapping
from typing import Protocol

import attrs

from mlserver_core.types import InferenceRequest, InferenceResponse

logger = logging.getLogger("mlserver.infer")

#: Seconds before the first and before any later retry, at most.
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
#: Seconds that a server may ask for at most; a longer outage is an error of the line.
_LONGEST_WISH = 600.0


@attrs.define(eq=False, slots=False)
class CallFailed(Exception):
    """A call got no answer that can be used.

    Attributes:
        message: why, for the user.
        may_retry: the same call may succeed later.
        may_split: it is about what was sent, so parts of it may succeed.
        retry_after: seconds the server asks to wait.
        status: the HTTP status of the answer; 0 where there was none.
    """

    message: str
    may_retry: bool = attrs.field(default=False, kw_only=True)
    may_split: bool = attrs.field(default=False, kw_only=True)
    retry_after: float = attrs.field(default=0, kw_only=True)
    status: int = attrs.field(default=0, kw_only=True)

    def __str__(self) -> str:
        return self.message


class Client(Protocol):
    """Asks one model of one server."""

    async def infer(
        self, request: InferenceRequest, headers: Mapping[str, str]
    ) -> InferenceResponse:
        """The answer.

        Args:
            request: what is asked.
            headers: sent with it besides the client's own, names in lower case.

        Raises:
            CallFailed: there is none.
            InvalidRequest: the request cannot be sent.
        """

    async def close(self) -> None:
        """Closes the connections."""


async def infer_patiently(
    client: Client, request: InferenceRequest, headers: Mapping[str, str], retries: int
) -> InferenceResponse:
    """The answer, after up to ``retries`` further tries.

    Raises:
        CallFailed: as the client's last try.
        InvalidRequest: the request cannot be sent.
    """
    for attempt in range(retries + 1):
        try:
            return await client.infer(request, headers)
        except CallFailed as error:
            if not error.may_retry or attempt == retries:
                raise
            delay = max(min(error.retry_after, _LONGEST_WISH), back_off(attempt))
            logger.info("%s; trying again in %.1f seconds", error, delay)
        await asyncio.sleep(delay)
    raise AssertionError("the last attempt returns or raises")


def back_off(attempt: int) -> float:
    """Seconds to wait after a failed attempt, counted from 0: doubled each time, up to half a
    minute, and shortened at random so that workers do not come back all at once.
    """
    longest = min(_FIRST_DELAY * 2.0 ** min(attempt, 16), _LONGEST_DELAY)
    return longest * random.uniform(0.5, 1)  # noqa: S311  # nothing secret


def parse_retry_after(value: str | None) -> float:
    """Seconds from a Retry-After header, which has seconds or a date (RFC 9110, 10.2.3).

    0 where it is missing or cannot be read.
    """
    if not value:
        return 0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0
    return max(0.0, seconds) if math.isfinite(seconds) else 0


def tls_context(*, insecure: bool) -> ssl.SSLContext:
    """TLS that trusts what the system trusts, or anybody."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
