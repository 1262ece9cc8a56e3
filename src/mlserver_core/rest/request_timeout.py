"""The header ``X-Request-Timeout``: how long a caller waits for an answer."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping

from mlserver_core.errors import InvalidRequest
from mlserver_core.types.converter import show

_NAME = "x-request-timeout"
_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
#: Seconds; more than any server runs, and less than what timers cannot count.
_LONGEST = 1e9


def read_deadline(headers: Mapping[str, str]) -> float | None:
    """When the answer to a request that comes just now is of no more use, in seconds of
    ``time.monotonic()``; None for one without the header.

    Raises:
        InvalidRequest: the header has no number of seconds above 0.
    """
    text = headers.get(_NAME)
    if text is None:
        return None
    seconds = float(text) if _SECONDS.fullmatch(text) else math.nan
    if not seconds > 0:
        raise InvalidRequest(
            f"header X-Request-Timeout: expected seconds above 0, such as 2.5, got {show(text)}"
        )
    return time.monotonic() + min(seconds, _LONGEST)
